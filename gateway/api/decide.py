"""`POST /v1/decide`: what would be decided for a request, and why. No model is called, and no quota is charged.

It takes what `/v1/chat/completions` takes, and what `/v1/responses` and `/v1/messages` take: a body with `input` is of
the former, a request with the header `anthropic-version` is of the latter. Errors are those of the same dialect.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.api import asgi
from gateway.api.dialect import Dialect, ParsedRequest
from gateway.api.off_loop import OffLoop
from gateway.api.reading import read_body, read_call
from gateway.auth.authenticator import Authenticator
from gateway.config.server import ServerSettings
from gateway.core.aliases import Headers
from gateway.core.errors import GatewayError, InternalError
from gateway.execution.ids import Ids
from gateway.routing.decider import Decider
from gateway.routing.explanation import explain

log = logging.getLogger("thinkgate")


class Decide:
    """An ASGI endpoint. `dialects` has `chat`, `responses` and `messages`."""

    def __init__(
        self,
        decider: Decider,
        dialects: Mapping[str, Dialect],
        authenticator: Authenticator,
        limits: ServerSettings,
        ids: Ids,
        off_loop: OffLoop,
    ) -> None:
        self._decider = decider
        self._dialects = dialects
        self._authenticator = authenticator
        self._limits = limits
        self._ids = ids
        self._off_loop = off_loop

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        headers = asgi.read_headers(scope)
        id = asgi.client_request_id(headers) or self._ids.for_client()
        answered = {"x-request-id": id}
        dialect = self._dialect({}, headers)
        try:
            principal = self._authenticator.authenticate(headers)
            body, size = await self._body(scope, receive)
            dialect = self._dialect(body, headers)
            decided = await self._decide(dialect, ParsedRequest(body, size, headers, id, principal, self._off_loop))
        except asgi.HungUp:
            return
        except Exception as error:
            seen = error if isinstance(error, GatewayError) else InternalError()
            if seen is not error:
                log.error("request %s failed inside the gateway", id, exc_info=error)
            await asgi.send_json(
                send, seen.status, dialect.error(seen, id), dialect.headers({**answered, **seen.headers})
            )
            return
        await asgi.send_json(send, 200, decided, dialect.headers(answered))

    async def _decide(self, dialect: Dialect, parsed: ParsedRequest) -> bytes:
        call = await read_call(parsed, dialect.read, self._decider.catalogue, self._limits)
        explanation = await explain(self._decider, parsed.principal, call)
        return orjson.dumps(explanation.as_json())

    def _dialect(self, body: dict[str, Any], headers: Headers) -> Dialect:
        if "anthropic-version" in headers:
            return self._dialects["messages"]
        return self._dialects["responses" if "input" in body else "chat"]

    async def _body(self, scope: asgi.Scope, receive: asgi.Receive) -> tuple[dict[str, Any], int]:
        raw = await asgi.read_body(scope, receive, self._limits.max_body_bytes, lambda size: None)
        return await read_body(raw, self._limits, self._off_loop)
