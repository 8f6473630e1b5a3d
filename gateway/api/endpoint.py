"""One route of the traffic: a request of one dialect in, its answer out, and a client's leaving noticed at any time."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from gateway.access.door import Door
from gateway.answers.chat_answer import MOST_CHARACTERS
from gateway.api import checks, json_object, stops, wire
from gateway.api.dialect import Asked, Dialect
from gateway.api.off_loop import OffLoop
from gateway.errors import GatewayError, QuotaExceeded
from gateway.exchange import Exchange
from gateway.pipeline import Pipeline
from gateway.settings import Server
from gateway.types import Headers


class Endpoint:
    """An ASGI endpoint, so that a client that hangs up cancels the backend at once, plain and streamed."""

    def __init__(self, dialect: Dialect, door: Door, pipeline: Pipeline, limits: Server, off_loop: OffLoop) -> None:
        self._dialect = dialect
        self._door = door
        self._pipeline = pipeline
        self._limits = limits
        self._off_loop = off_loop

    async def __call__(self, scope: wire.Scope, receive: wire.Receive, send: wire.Send) -> None:
        headers = wire.read_headers(scope)
        try:
            # Before the body is read, and without a record: strangers cost nothing and fill no disk.
            visitor = self._door.enter(headers)
        except GatewayError as error:
            id = wire.given_id(headers) or self._pipeline.ids.for_client()
            await self._send_error(scope, send, error, id, {"x-request-id": id})
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
                    await self._send_error(scope, send, stopping, exchange.request_id, exchange.headers())

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
            visitor = exchange.visitor
            visitor.admit(wire.announced_size(headers))
            body, size = await self._body(scope, receive, exchange, task)
            model = body.get("model")
            exchange.model = model[:MOST_CHARACTERS] if isinstance(model, str) else None
            visitor.check_model(checks.text(body, "model"))
            stops.check(body, self._limits)
            id = exchange.request_id
            asked = Asked(body, size, headers, id, visitor, self._off_loop, exchange.backend_id)
            exchange.call = call = await self._dialect.read(asked)
            del asked, body  # what was read is in the call
            exchange.teller = self._dialect.teller(exchange)
            answer = await self._pipeline.answer(exchange, call)
            exchange.answering = True
            await wire.send_answer(send, self._dialect.headers(exchange.headers()), answer)
        except (wire.HungUp, asyncio.CancelledError):
            raise
        except Exception as error:
            seen = self._pipeline.fail(exchange, error)
            await self._send_error(scope, send, seen, exchange.request_id, exchange.headers())

    async def _body(
        self, scope: wire.Scope, receive: wire.Receive, exchange: Exchange, task: asyncio.Task[Any]
    ) -> tuple[dict[str, Any], int]:
        """The body, and how many bytes it had: these are let go of."""
        limits = self._limits
        raw = await wire.read_body(scope, receive, limits.max_body_bytes, exchange.visitor.arrived)
        wire.cancel_on_hang_up(scope, task, exchange)
        read = partial(json_object.read, raw, limits.max_depth, limits.max_values)
        return await self._off_loop.run(len(raw), read), len(raw)

    async def _send_error(
        self, scope: wire.Scope, send: wire.Send, error: GatewayError, request_id: str, headers: Headers
    ) -> None:
        body = self._dialect.error(error, request_id)
        told = self._dialect.headers({**headers, **error.headers})
        # Who is to come back in an hour needs no place until then.
        wait_s = error.wait_s if isinstance(error, QuotaExceeded) else 0.0
        if wait_s > self._limits.keepalive_s and scope["http_version"] < "2":
            told = {**told, "connection": "close"}
        await wire.send_json(send, error.status, body, told)
