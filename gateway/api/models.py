"""`GET /v1/models` and `/v1/models/{name}`: the public names, in OpenAI's shape."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from gateway.access.door import Door
from gateway.catalogue import Catalogue, Model


def router(door: Door, catalogue: Catalogue, created: int) -> APIRouter:
    """What each visitor may use. `created` is said of every model: the time the gateway started, in Unix seconds."""
    routes = APIRouter()

    @routes.get("/v1/models")
    async def list_models(request: Request) -> dict[str, Any]:
        visitor = door.enter(request.headers)
        cards = [_card(model, created) for model in catalogue if visitor.may_use(model.name)]
        return {"object": "list", "data": cards}

    @routes.get("/v1/models/{name:path}")
    async def one_model(name: str, request: Request) -> dict[str, Any]:
        door.enter(request.headers).check_model(name)
        return _card(catalogue.find(name), created)

    return routes


def _card(model: Model, created: int) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": created, "owned_by": "thinkgate"}
