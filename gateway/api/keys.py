"""`/keys`, for operators: create, list, show, rotate and revoke API keys, with what each has used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Any, TypeVar

import orjson
from fastapi import APIRouter, Request, Response

from gateway.access.keys import Keys
from gateway.access.limits import NewKey, Rotation, Table
from gateway.access.secret import digest, shown
from gateway.api import json_object, wire
from gateway.errors import ConfigError, InvalidKey, InvalidRequest

MAX_BODY_BYTES, MAX_DEPTH = 64 * 1024, 8
T = TypeVar("T", bound=Table)


def operators_only(key: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that lets nobody in without this key. Hashes are compared, so that not even its length shows."""
    expected = digest(key)

    async def check(request: Request) -> None:
        if not compare_digest(digest(shown(wire.read_headers(request.scope))), expected):
            raise InvalidKey("The operators' key is required: send it as `Authorization: Bearer ...`.")

    return check


def router(keys: Keys) -> APIRouter:
    routes = APIRouter(prefix="/keys")

    @routes.get("")
    async def list_keys() -> Response:
        return _json({"object": "list", "data": [keys.told(key) for key in keys.all()]})

    @routes.post("")
    async def create(request: Request) -> Response:
        key, secret = keys.create(await _read(NewKey, request))
        return _json({**keys.told(key), "secret": secret}, 201)

    @routes.get("/{id}")
    async def show(id: str) -> Response:
        return _json(keys.told(keys.get(id)))

    @routes.post("/{id}/rotate")
    async def rotate(id: str, request: Request) -> Response:
        key, secret = keys.rotate(id, (await _read(Rotation, request)).overlap_s)
        return _json({**keys.told(key), "secret": secret})

    @routes.post("/{id}/revoke")
    async def revoke(id: str) -> Response:
        return _json(keys.told(keys.revoke(id)))

    return routes


async def _read(kind: type[T], request: Request) -> T:
    """The body as a checked table; no body is an empty one. InvalidRequest names every fault."""
    raw = await wire.read_body(request.scope, request.receive, MAX_BODY_BYTES)
    try:
        return kind.read(json_object.read(raw, MAX_DEPTH) if raw else {})
    except ConfigError as error:
        raise InvalidRequest("; ".join(error.faults)) from error


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")
