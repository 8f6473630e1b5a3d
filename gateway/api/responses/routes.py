"""Routes for stored responses: show, list input items, delete."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from gateway.api import checks
from gateway.api.authentication import authenticated
from gateway.api.responses.conversation import reasoning_text
from gateway.api.responses.errors import UnknownResponse, Unsupported
from gateway.api.responses.options import SEALED, read_include
from gateway.api.responses.store import ResponseStore
from gateway.api.responses.turn import Item, Turn
from gateway.auth.authenticator import Authenticator
from gateway.auth.principal import Principal
from gateway.auth.seal import Seal
from gateway.core.errors import InvalidRequest

MOST_LISTED, DEFAULT_LISTED = 100, 20


def router(authenticator: Authenticator, store: ResponseStore, seal: Seal) -> APIRouter:
    """Clients only find responses that were created with their own key."""
    routes = APIRouter(prefix="/v1/responses")

    async def find(id: str, principal: Principal) -> Turn:
        turn = await store.get(id, principal.key)
        if turn is None:
            raise UnknownResponse(id)
        return turn

    @routes.get("/{id}")
    async def show(id: str, request: Request) -> Response:
        if request.query_params.get("stream", "false") != "false":
            raise Unsupported("stream", "is not supported for stored responses.")
        included = [*request.query_params.getlist("include"), *request.query_params.getlist("include[]")]
        with authenticated(authenticator, request) as principal:
            found = (await find(id, principal)).response
            return _json(_sealed(found, seal, principal.key) if SEALED in read_include(included) else found, principal)

    @routes.delete("/{id}")
    async def delete(id: str, request: Request) -> Response:
        with authenticated(authenticator, request) as principal:
            if not await store.delete(id, principal.key):
                raise UnknownResponse(id)
            return _json({"id": id, "object": "response", "deleted": True}, principal)

    @routes.post("/{id}/cancel")
    async def cancel(id: str, request: Request) -> Response:
        with authenticated(authenticator, request) as principal:
            await find(id, principal)
        message = "Only background responses can be cancelled, and this gateway creates none."
        raise InvalidRequest(message, param="response_id")

    @routes.get("/{id}/input_items")
    async def input_items(id: str, request: Request) -> Response:
        """All input items of the conversation, including previous responses."""
        with authenticated(authenticator, request) as principal:
            await find(id, principal)
            turns = await store.history(id, principal.key)
            if turns is None:
                raise UnknownResponse(id)
            items = [item for turn in turns[:-1] for item in turn.items] + turns[-1].input
            return _json(_page(items, request.query_params.get), principal)

    return routes


def _sealed(response: dict[str, Any], seal: Seal, key: str | None) -> dict[str, Any]:
    """The response with its reasoning also in encrypted form."""
    bound = seal.bound(key, response["model"])
    output = [
        {**item, "encrypted_content": bound.close(reasoning_text(item))} if item["type"] == "reasoning" else item
        for item in response["output"]
    ]
    return {**response, "output": output}


def _page(items: list[Item], query: Any) -> dict[str, Any]:
    """One page of the items, latest first by default."""
    order = query("order") or "desc"
    if order not in ("asc", "desc"):
        raise checks.wrong_value("order", f"must be asc or desc, not {order[:40]!r}.")
    limit = _limit(query("limit"))
    if order == "desc":
        items = items[::-1]
    after = query("after")
    if after:
        places = [place for place, item in enumerate(items) if item["id"] == after]
        if not places:
            raise checks.wrong_value("after", f"is not the id of an item: {after[:100]!r}.")
        items = items[places[0] + 1 :]
    page = items[:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(items) > limit,
    }


def _limit(given: str | None) -> int:
    if given is None:
        return DEFAULT_LISTED
    if not given.isascii() or not given.isdecimal() or len(given) > 9:
        raise checks.wrong_type("limit", "a whole number", given)
    return checks.whole(int(given), "limit", 1, MOST_LISTED) or DEFAULT_LISTED


def _json(value: dict[str, Any], principal: Principal) -> Response:
    return Response(orjson.dumps(value), headers=principal.headers(), media_type="application/json")
