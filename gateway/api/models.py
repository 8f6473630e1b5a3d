"""`GET /v1/models` and `/v1/models/{name}`: the public models, with the fields of OpenAI and of Anthropic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import QueryParams

from gateway.api import capabilities, checks
from gateway.api.authentication import authenticated
from gateway.auth.authenticator import Authenticator
from gateway.auth.principal import Principal
from gateway.core.errors import InvalidRequest
from gateway.families.compiler import Enforce
from gateway.routing.catalogue import Catalogue, PublicModel

Json = dict[str, Any]
MOST_ON_A_PAGE = 1000
_CURSORS = ("after_id", "before_id")


def router(authenticator: Authenticator, catalogue: Catalogue, created: int, enforce: Enforce) -> APIRouter:
    """Lists the models that the client's key may use. `created` is the start of the gateway, in Unix seconds.

    `enforce` tells how each deployment enforces budgets, as discovery found it.
    """
    routes = APIRouter()

    def card(model: PublicModel, principal: Principal) -> Json:
        return _card(model, created, capabilities.of(model, principal.ceiling(model.levels), enforce))

    @routes.get("/v1/models")
    async def list_models(request: Request) -> Response:
        with authenticated(authenticator, request) as principal:
            visible = [model for model in catalogue if principal.may_use(model.name)]
            page = _page(visible, request.query_params, lambda model: card(model, principal))
        return JSONResponse(page, headers=principal.headers())

    @routes.get("/v1/models/{name:path}")
    async def one_model(name: str, request: Request) -> Response:
        with authenticated(authenticator, request) as principal:
            principal.check_model(name)
            found = card(catalogue.find(name), principal)
        return JSONResponse(found, headers=principal.headers())

    return routes


def _card(model: PublicModel, created: int, found: capabilities.ModelCapabilities) -> Json:
    """One object with the fields of both vendors; unknown values are null."""
    contexts = [one.max_context for arm in model.arms for one in arm.deployments]
    known = [context for context in contexts if context is not None]
    longest = min(known) if len(known) == len(contexts) else None
    return {
        "id": model.name,
        "object": "model",
        "created": created,
        "owned_by": "thinkgate",
        "type": "model",
        "display_name": model.name,
        "created_at": datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
        "max_input_tokens": longest,
        "max_tokens": longest,
        "capabilities": capabilities.anthropic_format(found),
        "reasoning": capabilities.openrouter_format(found),
        **_policy(model),
    }


def _policy(model: PublicModel) -> Json:
    """The policy's description of itself, with the guarantees under its contract, if it has one."""
    card = model.policy_description.card
    if model.policy.contract is None:
        return card
    promises = [
        {
            "arm": arm,
            "kept": promised.kept,
            "price": promised.without_probe if promised.with_probe is None else promised.with_probe,
            "prompts": promised.prompts,
            "harm_bound": promised.bound if promised.kept else None,
            "tokens_saved": promised.saved if promised.kept else None,
            "why": promised.why,
        }
        for arm, promised in model.promises.items()
    ]
    return {**card, "contract": {**card.get("contract", {}), "promises": promises}}


def _page(models: Sequence[PublicModel], query: QueryParams, card: Callable[[PublicModel], Json]) -> Json:
    """One page of the models, optionally after or before a cursor. InvalidRequest: a query parameter is invalid."""
    limit = _limit(query)
    names = [model.name for model in models]
    cursors = [name for name in _CURSORS if query.get(name)]
    if len(cursors) == 2:
        raise InvalidRequest("after_id and before_id cannot both be given.", param="before_id")
    start, end = 0, len(names)
    for name in cursors:
        if query[name] not in names:
            raise checks.wrong_value(name, f"is not the id of a model: {query[name][:100]!r}.")
        at = names.index(query[name])
        start, end = (at + 1, end) if name == "after_id" else (start, at)
    if "before_id" in cursors:
        start, more = max(end - limit, 0), end > limit
    else:
        end, more = min(start + limit, end), end > start + limit
    data = [card(model) for model in models[start:end]]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "has_more": more, "first_id": first, "last_id": last}


def _limit(query: QueryParams) -> int:
    """The page size; by default all models are on one page, as OpenAI's clients expect."""
    given = query.get("limit")
    if given is None:
        return MOST_ON_A_PAGE
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given[:10]) <= MOST_ON_A_PAGE:
        raise checks.wrong_value("limit", f"must be between 1 and {MOST_ON_A_PAGE}, not {given[:40]!r}.")
    return int(given)
