"""`POST /routers/reload`, for operators: artifacts are read again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from gateway.core.errors import ConfigError, ReloadRefused

# The version of the router that each model is served with from now on. ConfigError: a bad one, and the old one stays.
Reload = Callable[[], Mapping[str, str]]


def router(reload: Reload, note: Callable[[Request], None] = lambda request: None) -> APIRouter:
    """`note` is called with each completed reload."""
    routes = APIRouter()

    @routes.post("/routers/reload")
    async def reload_routers(request: Request) -> JSONResponse:
        try:
            served = await asyncio.to_thread(reload)
        except ConfigError as error:
            raise ReloadRefused(f"{'; '.join(error.faults)}. The previous routers stay in use.") from error
        note(request)
        return JSONResponse({"object": "routers", "models": dict(served)})

    return routes
