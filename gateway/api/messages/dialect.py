"""`POST /v1/messages`."""

from __future__ import annotations

from gateway.answers.teller import Teller
from gateway.api.dialect import Asked
from gateway.api.messages import errors
from gateway.api.messages.request import MessagesCall, read_request
from gateway.api.messages.teller import MessagesTeller
from gateway.api.messages.thoughts import Thoughts
from gateway.catalogue import Catalogue
from gateway.errors import GatewayError
from gateway.exchange import Exchange
from gateway.seal import Seal
from gateway.types import Call, Headers


class Messages:
    name = "messages"

    def __init__(self, catalogue: Catalogue, max_messages: int, seal: Seal) -> None:
        self._catalogue = catalogue
        self._max_messages = max_messages
        self._seal = seal

    async def read(self, asked: Asked) -> Call:
        return await asked.off_loop.run(
            asked.size, lambda: read_request(asked, self._catalogue, self._max_messages, self._seal)
        )

    def teller(self, exchange: Exchange) -> Teller:
        call = exchange.call
        assert isinstance(call, MessagesCall), "a call is read before it is answered"
        return MessagesTeller(
            call.model,
            exchange.id,
            exchange.request_id,
            Thoughts(self._seal.bound(exchange.visitor.key, call.model), call.omitted),
            exchange.account if call.wants_account else None,
        )

    def error(self, error: GatewayError, request_id: str) -> bytes:
        return errors.body(error, request_id)

    def headers(self, headers: Headers) -> Headers:
        return errors.headers(headers)
