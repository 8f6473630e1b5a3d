"""The dialect of `POST /v1/responses`."""

from __future__ import annotations

import orjson

from gateway.api.dialect import ParsedRequest
from gateway.api.responses import errors
from gateway.api.responses.call import ResponsesCall
from gateway.api.responses.encoder import ResponsesEncoder
from gateway.api.responses.request import read_call
from gateway.api.responses.store import ResponseStore
from gateway.auth.seal import Seal
from gateway.core.aliases import Headers
from gateway.core.call import Call
from gateway.core.errors import GatewayError
from gateway.execution.report import AnswerView
from gateway.execution.request_facts import RequestFacts
from gateway.execution.streaming.encoder import ResponseEncoder
from gateway.routing.catalogue import Catalogue


class ResponsesDialect:
    name = "responses"

    def __init__(self, catalogue: Catalogue, store: ResponseStore, seal: Seal, max_items: int) -> None:
        self._catalogue = catalogue
        self._store = store
        self._seal = seal
        self._max_items = max_items

    async def read(self, parsed: ParsedRequest) -> Call:
        return await read_call(parsed, self._catalogue, self._store, self._seal, self._max_items)

    def encoder(self, facts: RequestFacts, call: Call, view: AnswerView) -> ResponseEncoder:
        assert isinstance(call, ResponsesCall), "read by this dialect"
        return ResponsesEncoder(view, call, self._seal.bound(facts.principal.key, call.model), self._store)

    def error(self, error: GatewayError, request_id: str) -> bytes:
        return orjson.dumps({"error": errors.fields(error)})

    def headers(self, headers: Headers) -> Headers:
        return headers
