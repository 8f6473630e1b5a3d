"""Responses, OpenAI's dialect of items."""

from __future__ import annotations

import orjson

from gateway.answers.teller import Teller
from gateway.api.dialect import Asked
from gateway.api.responses import errors
from gateway.api.responses.call import ResponsesCall
from gateway.api.responses.request import read_call
from gateway.api.responses.store import ResponseStore
from gateway.api.responses.teller import ResponsesTeller
from gateway.catalogue import Catalogue
from gateway.errors import GatewayError
from gateway.exchange import Exchange
from gateway.seal import Seal
from gateway.types import Call, Headers


class Responses:
    name = "responses"

    def __init__(self, catalogue: Catalogue, store: ResponseStore, seal: Seal, max_items: int) -> None:
        self._catalogue = catalogue
        self._store = store
        self._seal = seal
        self._max_items = max_items

    async def read(self, asked: Asked) -> Call:
        return await read_call(asked, self._catalogue, self._store, self._seal, self._max_items)

    def teller(self, exchange: Exchange) -> Teller:
        call = exchange.call
        assert isinstance(call, ResponsesCall), "it was read by this dialect"
        seal = self._seal.bound(exchange.visitor.key, call.model)
        return ResponsesTeller(exchange, call.wanted, call.stream, seal, self._store)

    def error(self, error: GatewayError, request_id: str) -> bytes:
        return orjson.dumps({"error": errors.fields(error)})

    def headers(self, headers: Headers) -> Headers:
        return headers
