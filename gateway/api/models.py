"""`GET /v1/models` and `/v1/models/{name}`: the public names, in OpenAI's shape."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gateway.catalogue import Catalogue, Model


def router(catalogue: Catalogue, created: int) -> APIRouter:
    """`created` is what the list says of every model: the time the gateway started, in Unix seconds."""
    routes = APIRouter()

    @routes.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": [_card(model, created) for model in catalogue]}

    @routes.get("/v1/models/{name:path}")
    async def one_model(name: str) -> dict[str, Any]:
        return _card(catalogue.find(name), created)

    return routes


def _card(model: Model, created: int) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": created, "owned_by": "thinkgate"}
