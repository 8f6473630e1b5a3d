"""The endpoint of a dialect: reads a request, sends its answer, and notices disconnects at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway.api import asgi
from gateway.api.dialect import Dialect, ParsedRequest
from gateway.api.hang_ups import HangUps, Watch
from gateway.api.off_loop import OffLoop
from gateway.api.reading import read_body, read_call
from gateway.auth.authenticator import Authenticator
from gateway.backends.chat_answer import MOST_CHARACTERS
from gateway.config.server import ServerSettings
from gateway.core.aliases import Headers
from gateway.core.errors import GatewayError, QuotaExceeded
from gateway.execution.recorder import Recorder
from gateway.execution.report import headers as report_headers
from gateway.pipeline import Pipeline


class Endpoint:
    """Plain ASGI, so that a disconnect cancels the backend's work at once, for whole answers and streams."""

    def __init__(
        self,
        dialect: Dialect,
        authenticator: Authenticator,
        pipeline: Pipeline,
        limits: ServerSettings,
        off_loop: OffLoop,
        hang_ups: HangUps,
        ended: Callable[[Recorder], None] = lambda _: None,
    ) -> None:
        """`ended` is called once for each request, when its client has all that it gets."""
        self._dialect = dialect
        self._authenticator = authenticator
        self._pipeline = pipeline
        self._limits = limits
        self._off_loop = off_loop
        self._hang_ups = hang_ups
        self._ended = ended

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        headers = asgi.read_headers(scope)
        try:
            # Before the body is read, and without a record: unauthenticated requests must cost nothing and fill no
            # disk.
            principal = self._authenticator.authenticate(headers)
        except GatewayError as error:
            id = asgi.client_request_id(headers) or self._pipeline.ids.for_client()
            await self._send_error(scope, send, error, id, {"x-request-id": id})
            return
        recorder = self._pipeline.begin(self._dialect.name, asgi.client_request_id(headers), principal)
        with principal:
            await self._answer_and_record(scope, headers, recorder, receive, send)

    async def _answer_and_record(
        self, scope: asgi.Scope, headers: Headers, recorder: Recorder, receive: asgi.Receive, send: asgi.Send
    ) -> None:
        """Answer, and write exactly one record, however the request ends."""
        accounting = self._pipeline.accounting
        task = asyncio.current_task()
        assert task is not None, "ASGI servers run each request in a task"
        watch = self._hang_ups.watch(scope, receive, task, recorder)
        if not watch.own_server:
            recorder.client_cancels()
        try:
            await self._answer(scope, headers, recorder, watch, receive, send)
        except asgi.HungUp:
            accounting.hang_up(recorder)
        except asyncio.CancelledError as error:
            foreign = not recorder.client_gone and not watch.own_server
            if recorder.client_gone or foreign:  # other servers and in-process callers only cancel the task
                recorder.client_left()
                accounting.hang_up(recorder)
            elif not recorder.closed:  # the server shuts down and its grace period is over
                stopping = accounting.fail(recorder, error)
                if not recorder.answering:
                    await self._send_error(scope, send, stopping, recorder.facts.request_id, report_headers(recorder))
            if foreign:
                raise
            task.uncancel()
        finally:
            watch.end()
            self._ended(recorder)

    async def _answer(
        self,
        scope: asgi.Scope,
        headers: Headers,
        recorder: Recorder,
        watch: Watch,
        receive: asgi.Receive,
        send: asgi.Send,
    ) -> None:
        try:
            facts = recorder.facts
            principal = facts.principal
            principal.admit(asgi.announced_size(headers))
            body, size = await self._body(scope, receive, recorder, watch)
            model = body.get("model")
            recorder.names(model[:MOST_CHARACTERS] if isinstance(model, str) else None)
            parsed = ParsedRequest(body, size, headers, facts.request_id, principal, self._off_loop, facts.backend_id)
            call = await read_call(parsed, self._dialect.read, self._pipeline.decider.catalogue, self._limits)
            del parsed, body  # the call has everything; free the memory
            answer = await self._pipeline.answer(recorder, call, partial(self._dialect.encoder, facts, call))
            await asgi.send_answer(send, self._dialect.headers(report_headers(recorder)), answer)
        except (asgi.HungUp, asyncio.CancelledError):
            raise
        except Exception as error:
            failure = self._pipeline.accounting.fail(recorder, error)
            await self._send_error(scope, send, failure, recorder.facts.request_id, report_headers(recorder))

    async def _body(
        self, scope: asgi.Scope, receive: asgi.Receive, recorder: Recorder, watch: Watch
    ) -> tuple[dict[str, Any], int]:
        """The parsed body, and its size in bytes; the raw bytes are freed."""
        raw = await asgi.read_body(scope, receive, self._limits.max_body_bytes, recorder.facts.principal.arrived)
        watch.begin()
        return await read_body(raw, self._limits, self._off_loop)

    async def _send_error(
        self, scope: asgi.Scope, send: asgi.Send, error: GatewayError, request_id: str, headers: Headers
    ) -> None:
        body = self._dialect.error(error, request_id)
        headers = self._dialect.headers({**headers, **error.headers})
        # A client that must wait longer than connections are kept alive needs none until then.
        wait_s = error.wait_s if isinstance(error, QuotaExceeded) else 0.0
        if wait_s > self._limits.keepalive_s and scope["http_version"] < "2":
            headers = {**headers, "connection": "close"}
        await asgi.send_json(send, error.status, body, headers)
