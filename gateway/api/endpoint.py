"""One route of the traffic: a request of one dialect in, its answer out, and a client's leaving noticed at any time."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.access.door import Door
from gateway.api import checks, json_object, stops, wire
from gateway.api.dialect import Asked, Dialect
from gateway.errors import GatewayError
from gateway.exchange import Exchange
from gateway.pipeline import Pipeline
from gateway.settings import Server
from gateway.types import Headers


class Endpoint:
    """An ASGI endpoint, so that a client that hangs up cancels the backend at once, plain and streamed."""

    def __init__(self, dialect: Dialect, door: Door, pipeline: Pipeline, limits: Server) -> None:
        self._dialect = dialect
        self._door = door
        self._pipeline = pipeline
        self._limits = limits

    async def __call__(self, scope: wire.Scope, receive: wire.Receive, send: wire.Send) -> None:
        headers = wire.read_headers(scope)
        try:
            # Before the body is read, and without a record: strangers cost nothing and fill no disk.
            visitor = self._door.enter(headers)
        except GatewayError as error:
            id = wire.given_id(headers) or self._pipeline.ids.for_client()
            await self._send_error(send, error, id, {"x-request-id": id})
            return
        exchange = self._pipeline.begin(self._dialect.name, wire.given_id(headers), visitor)
        task = asyncio.current_task()
        assert task is not None, "ASGI servers run each request in a task"
        try:
            await self._answer(scope, headers, exchange, task, receive, send)
        except wire.HungUp:
            self._pipeline.hang_up(exchange)
        except asyncio.CancelledError as error:
            task.uncancel()
            if exchange.client_gone:
                self._pipeline.hang_up(exchange)
            elif not exchange.closed:  # the server stops, and has waited long enough
                stopping = self._pipeline.fail(exchange, error)
                if not exchange.answering:
                    await self._send_error(send, stopping, exchange.request_id, exchange.headers())

    async def _answer(
        self,
        scope: wire.Scope,
        headers: Headers,
        exchange: Exchange,
        task: asyncio.Task[Any],
        receive: wire.Receive,
        send: wire.Send,
    ) -> None:
        try:
            raw = await wire.read_body(scope, receive, self._limits.max_body_bytes)
            wire.cancel_on_hang_up(scope, task, exchange)
            body = json_object.read(raw, self._limits.max_depth, self._limits.max_values)
            exchange.model = str(body.get("model"))[:100]
            exchange.visitor.check_model(checks.text(body, "model"))
            stops.check(body, self._limits)
            asked = Asked(body, len(raw), headers, exchange.request_id, exchange.visitor)
            exchange.call = call = await self._dialect.read(asked)
            exchange.teller = self._dialect.teller(exchange)
            answer = await self._pipeline.answer(exchange, call)
            exchange.answering = True
            await wire.send_answer(send, self._dialect.headers(exchange.headers()), answer)
        except (wire.HungUp, asyncio.CancelledError):
            raise
        except Exception as error:
            seen = self._pipeline.fail(exchange, error)
            await self._send_error(send, seen, exchange.request_id, exchange.headers())

    async def _send_error(self, send: wire.Send, error: GatewayError, request_id: str, headers: Headers) -> None:
        body = self._dialect.error(error, request_id)
        await wire.send_json(send, error.status, body, self._dialect.headers({**headers, **error.headers}))
