"""`POST /v1/chat/completions`: the dialect that the backends speak too, so most of it passes untouched."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.access.door import Door
from gateway.api import checks, json_object, wire
from gateway.api.effort_fields import read_dial, read_effort
from gateway.catalogue import Catalogue
from gateway.errors import GatewayError
from gateway.exchange import Exchange
from gateway.families.limits import LIMIT_FIELDS
from gateway.pipeline import Pipeline
from gateway.settings import Server
from gateway.types import Call, Headers


class ChatCompletions:
    """An ASGI endpoint, so that a client that hangs up cancels the backend at once, plain and streamed."""

    def __init__(self, door: Door, pipeline: Pipeline, catalogue: Catalogue, limits: Server) -> None:
        self._door = door
        self._pipeline = pipeline
        self._catalogue = catalogue
        self._limits = limits

    async def __call__(self, scope: wire.Scope, receive: wire.Receive, send: wire.Send) -> None:
        headers = wire.read_headers(scope)
        try:
            # Before the body is read, and without a record: strangers cost nothing and fill no disk.
            visitor = self._door.enter(headers)
        except GatewayError as error:
            id = wire.given_id(headers) or self._pipeline.ids.for_client()
            await wire.send_error(send, error, {"x-request-id": id})
            return
        exchange = self._pipeline.begin("chat", wire.given_id(headers), visitor)
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
                    await wire.send_error(send, stopping, exchange.headers())

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
            exchange.call = call = read_call(
                body, len(raw), exchange.request_id, headers, self._catalogue, self._limits.max_messages
            )
            answer = await self._pipeline.answer(exchange, call)
            exchange.answering = True
            await wire.send_answer(send, exchange, answer)
        except (wire.HungUp, asyncio.CancelledError):
            raise
        except Exception as error:
            await wire.send_error(send, self._pipeline.fail(exchange, error), exchange.headers())


def read_call(
    body: dict[str, Any], size: int, request_id: str, headers: Headers, catalogue: Catalogue, max_messages: int
) -> Call:
    """A checked call. Only the fields that the gateway reads are checked; the rest is the backend's to judge."""
    model = catalogue.find(checks.text(body, "model"))
    checks.messages(body, max_messages)
    checks.objects(body, "tools")
    stream = bool(checks.boolean(body, "stream"))
    options = checks.table(body, "stream_options")
    asked = read_effort(body, model.levels)
    limits = [checks.integer(body, name, 1, checks.MOST_TOKENS) for name in LIMIT_FIELDS]
    return Call(
        request_id=request_id,
        dialect="chat",
        model=model.name,
        body=body,
        stream=stream,
        wants_usage=bool(checks.boolean(options, "include_usage", "stream_options.include_usage")),
        requested=asked.requested,
        asked=asked.word,
        ceiling=asked.ceiling,
        dial=read_dial(body, model.name, model.policy.has_dial),
        choices=checks.integer(body, "n", 1, checks.MOST_CHOICES) or 1,
        limit=min((limit for limit in limits if limit is not None), default=None),
        size=size,
        unit=_unit(body) or request_id,
        tries=wire.tries_before(headers),
        batch=_is_batch(body, headers),
        forwarded=wire.forwarded(headers, request_id),
    )


def _is_batch(body: dict[str, Any], headers: Headers) -> bool:
    """Whether the client can wait: by our own header, else by OpenAI's word for cheap and slow."""
    priority = headers.get("x-thinkgate-priority")
    if priority is None:
        return body.get("service_tier") == "flex"
    if priority not in ("interactive", "batch"):
        raise checks.wrong_value("x-thinkgate-priority", "must be interactive or batch.")
    return priority == "batch"


def _unit(body: dict[str, Any]) -> str | None:
    """What an experiment assigns: the conversation, else the user."""
    metadata = body.get("metadata")
    conversation = metadata.get("conversation_id") if isinstance(metadata, dict) else None
    for unit in (conversation, body.get("safety_identifier"), body.get("user")):
        if isinstance(unit, str) and unit:
            return unit
    return None
