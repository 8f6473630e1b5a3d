"""The dialect of `POST /v1/messages`."""

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
from gateway.execution.report import AnswerView
from gateway.execution.request_facts import RequestFacts
from gateway.execution.streaming.encoder import ResponseEncoder
from gateway.routing.catalogue import Catalogue


class MessagesDialect:
    name = "messages"

    def __init__(self, catalogue: Catalogue, max_messages: int, seal: Seal) -> None:
        self._catalogue = catalogue
        self._max_messages = max_messages
        self._seal = seal

    async def read(self, parsed: ParsedRequest) -> Call:
        return await parsed.off_loop.run(
            parsed.size, lambda: read_request(parsed, self._catalogue, self._max_messages, self._seal)
        )

    def encoder(self, facts: RequestFacts, call: Call, view: AnswerView) -> ResponseEncoder:
        assert isinstance(call, MessagesCall), "read by this dialect"
        return MessagesEncoder(
            call.model,
            facts.id,
            facts.request_id,
            Thoughts(self._seal.bound(facts.principal.key, call.model), call.omitted),
            view.effort_report if call.wants_effort_report else None,
        )

    def error(self, error: GatewayError, request_id: str) -> bytes:
        return errors.body(error, request_id)

    def headers(self, headers: Headers) -> Headers:
        return errors.headers(headers)
