"""`GET /v1/models` and `/v1/models/{name}`: the public names, as OpenAI's clients read them and as Anthropic's do."""

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
    """What each visitor may use. `created` is said of every model: the time the gateway started, in Unix seconds.

    `enforce` says how budgets are kept, as discovery found it.
    """
    routes = APIRouter()

    def card(model: PublicModel, principal: Principal) -> Json:
        found = capabilities.of(model, principal.ceiling(model.levels), enforce)
        return _card(model, created, found)

    @routes.get("/v1/models")
    async def list_models(request: Request) -> Response:
        with authenticated(authenticator, request) as principal:
            mine = [model for model in catalogue if principal.may_use(model.name)]
            page = _page(mine, request.query_params, lambda model: card(model, principal))
        return JSONResponse(page, headers=principal.headers())

    @routes.get("/v1/models/{name:path}")
    async def one_model(name: str, request: Request) -> Response:
        with authenticated(authenticator, request) as principal:
            principal.check_model(name)
            found = card(catalogue.find(name), principal)
        return JSONResponse(found, headers=principal.headers())

    return routes


def _card(model: PublicModel, created: int, found: capabilities.ModelCapabilities) -> Json:
    """One object with the fields of both vendors: what is not known is null."""
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
        "capabilities": capabilities.anthropics(found),
        "reasoning": capabilities.openrouters(found),
        **_policy(model),
    }


def _policy(model: PublicModel) -> Json:
    """What the policy says of itself, with what is promised under a contract."""
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
    """All models, or those after or before one of them, as many as fit. InvalidRequest: no such page."""
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
    """Without one all models are on one page, as OpenAI's clients expect it."""
    given = query.get("limit")
    if given is None:
        return MOST_ON_A_PAGE
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given[:10]) <= MOST_ON_A_PAGE:
        raise checks.wrong_value("limit", f"must be between 1 and {MOST_ON_A_PAGE}, not {given[:40]!r}.")
    return int(given)
