"""`/routers`, for operators: the versions that were learned from traffic, to promote and to roll back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from gateway.api import asgi, json_object
from gateway.api.fields import Fields
from gateway.core.errors import ConfigError, InvalidRequest, VersionRefused
from gateway.routing.version_control import VersionControl

MAX_BODY_BYTES, MAX_DEPTH = 64 * 1024, 4
# Notes in the audit log that an operator did something to a model's router; returns who it was.
Note = Callable[[Request, str, str], str]


def router(control: Callable[[], VersionControl], note: Note) -> APIRouter:
    """A gateway serves what has changed within seconds, in all of its workers."""
    routes = APIRouter(prefix="/routers")

    @routes.get("")
    async def list_versions() -> JSONResponse:
        return JSONResponse({"object": "list", "data": await _done(lambda: control().described())})

    @routes.post("/{name:path}/promote")
    async def promote(name: str, request: Request) -> JSONResponse:
        version = await _version(request)
        change = partial(control().promote, name, version, time.time())
        return await _changed(change, request, "routers.promote", name)

    @routes.post("/{name:path}/rollback")
    async def rollback(name: str, request: Request) -> JSONResponse:
        return await _changed(partial(control().rollback, name, time.time()), request, "routers.rollback", name)

    async def _changed(change: Callable[[str], Any], request: Request, action: str, name: str) -> JSONResponse:
        told = await _done(lambda: change("by an operator"))
        note(request, action, name)
        return JSONResponse(told)

    return routes


async def _done(work: Callable[[], Any]) -> Any:
    """VersionRefused: it cannot be done."""
    try:
        return await asyncio.to_thread(work)
    except ConfigError as error:
        raise VersionRefused("; ".join(error.faults)) from error


async def _version(request: Request) -> str | None:
    """The one that is named; None: that which is being tried. InvalidRequest."""
    raw = await asgi.read_body(request.scope, request.receive, MAX_BODY_BYTES)
    if not raw:
        return None
    body = json_object.read(raw, MAX_DEPTH)
    unknown = next((name for name in body if name != "version"), None)
    if unknown is not None:
        message = f"{unknown[:100]} is unknown: it takes version."
        raise InvalidRequest(message, param=unknown[:100], code="unknown_parameter")
    return Fields(dict(body)).text("version")
