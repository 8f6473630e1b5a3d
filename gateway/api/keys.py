"""`/keys` and `/teams`, for operators: create, list, show, update, rotate and revoke keys, with usage."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Any, TypeVar

import orjson
from fastapi import APIRouter, Request, Response

from gateway.api import asgi, json_object
from gateway.auth.api_key_format import digest, shown
from gateway.auth.keys import Keys
from gateway.auth.limits import KeyChange, LimitsTable, NewKey, NewTeam, Rotation, TeamChange
from gateway.auth.quota import RATE
from gateway.auth.teams import Teams
from gateway.auth.throttle import Throttle
from gateway.core.errors import ConfigError, InvalidKey, InvalidRequest, QuotaExceeded

log = logging.getLogger("thinkgate")

MAX_BODY_BYTES, MAX_DEPTH = 64 * 1024, 8
T = TypeVar("T", bound=LimitsTable)


def operators_only(key: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that requires this key. It compares hashes, so that not even the key's length leaks.

    QuotaExceeded: too many wrong keys were tried, from one address or in total.
    """
    expected, throttle = digest(key), Throttle()

    async def check(request: Request) -> None:
        secret, address = shown(asgi.read_headers(request.scope)), address_of(request)
        if secret:
            wait_s = throttle.wait_s(address)
            if wait_s:
                message = "Too many attempts with a wrong operator key: wait before trying again."
                raise QuotaExceeded("requests", RATE, message, wait_s)
            if compare_digest(digest(secret), expected):
                throttle.succeeded(address)
                return
            throttle.failed(address)
            log.warning("wrong operator key from %s", address)
        raise InvalidKey("The operator key is required: send it as `Authorization: Bearer ...`.")

    return check


def address_of(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def operator(keys: Keys, request: Request) -> Keys:
    """Key management on behalf of this operator. Operators share one secret and are identified by address."""
    return keys.of(f"operator at {address_of(request)}")


def router(keys: Keys) -> APIRouter:
    routes = APIRouter(prefix="/keys")

    @routes.get("")
    async def list_keys() -> Response:
        return _json({"object": "list", "data": [keys.describe(key) for key in keys.all()]})

    @routes.post("")
    async def create(request: Request) -> Response:
        key, secret = operator(keys, request).create(await _read(NewKey, request))
        return _json({**keys.describe(key), "secret": secret}, 201)

    @routes.get("/{id}")
    async def show(id: str) -> Response:
        return _json(keys.describe(keys.get(id)))

    @routes.patch("/{id}")
    async def update(id: str, request: Request) -> Response:
        change = await _read(KeyChange, request)
        try:
            return _json(keys.describe(operator(keys, request).update(id, change)))
        except ConfigError as error:
            raise InvalidRequest("; ".join(error.faults)) from error

    @routes.post("/{id}/rotate")
    async def rotate(id: str, request: Request) -> Response:
        key, secret = operator(keys, request).rotate(id, (await _read(Rotation, request)).overlap_s)
        return _json({**keys.describe(key), "secret": secret})

    @routes.post("/{id}/revoke")
    async def revoke(id: str, request: Request) -> Response:
        return _json(keys.describe(operator(keys, request).revoke(id)))

    return routes


def teams_router(keys: Keys) -> APIRouter:
    routes, teams = APIRouter(prefix="/teams"), Teams(keys)

    def by(request: Request) -> Teams:
        return Teams(operator(keys, request))

    @routes.get("")
    async def list_teams() -> Response:
        return _json({"object": "list", "data": [teams.describe(team) for team in teams.all()]})

    @routes.post("")
    async def create(request: Request) -> Response:
        return _json(teams.describe(by(request).create(await _read(NewTeam, request))), 201)

    @routes.get("/{name}")
    async def show(name: str) -> Response:
        return _json(teams.describe(teams.get(name)))

    @routes.patch("/{name}")
    async def update(name: str, request: Request) -> Response:
        return _json(teams.describe(by(request).update(name, await _read(TeamChange, request))))

    @routes.delete("/{name}")
    async def remove(name: str, request: Request) -> Response:
        by(request).remove(name)
        return Response(status_code=204)

    return routes


def audit_router(keys: Keys) -> APIRouter:
    routes = APIRouter()

    @routes.get("/audit")
    async def audit() -> Response:
        return _json({"object": "list", "data": keys.audit()})

    return routes


async def _read(kind: type[T], request: Request) -> T:
    """The validated body; an empty body counts as `{}`. InvalidRequest names every invalid field."""
    raw = await asgi.read_body(request.scope, request.receive, MAX_BODY_BYTES)
    try:
        return kind.read(json_object.read(raw, MAX_DEPTH) if raw else {})
    except ConfigError as error:
        raise InvalidRequest("; ".join(error.faults)) from error


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")
