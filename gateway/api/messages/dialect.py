"""`POST /v1/messages`."""

from __future__ import annotations

from gateway.api.dialect import ParsedRequest
from gateway.api.messages import errors
from gateway.api.messages.encoder import MessagesEncoder
from gateway.api.messages.request import MessagesCall, read_request
from gateway.api.messages.thoughts import Thoughts
from gateway.auth.seal import Seal
from gateway.core.aliases import Headers
from gateway.core.call import Call
from gateway.core.errors import GatewayError
from gateway.execution.context import RequestContext
from gateway.execution.streaming.encoder import ResponseEncoder
from gateway.routing.catalogue import Catalogue


class MessagesDialect:
    name = "messages"

    def __init__(self, catalogue: Catalogue, max_messages: int, seal: Seal) -> None:
        self._catalogue = catalogue
        self._max_messages = max_messages
        self._seal = seal

    async def read(self, asked: ParsedRequest) -> Call:
        return await asked.off_loop.run(
            asked.size, lambda: read_request(asked, self._catalogue, self._max_messages, self._seal)
        )

    def encoder(self, context: RequestContext) -> ResponseEncoder:
        call = context.call
        assert isinstance(call, MessagesCall), "a call is read before it is answered"
        return MessagesEncoder(
            call.model,
            context.id,
            context.request_id,
            Thoughts(self._seal.bound(context.principal.key, call.model), call.omitted),
            context.effort_report if call.wants_effort_report else None,
        )

    def error(self, error: GatewayError, request_id: str) -> bytes:
        return errors.body(error, request_id)

    def headers(self, headers: Headers) -> Headers:
        return errors.headers(headers)
