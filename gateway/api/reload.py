"""`POST /routers/reload`, for operators: loads the router artifacts again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from gateway.core.errors import ConfigError, ReloadRefused

# Returns the router version of each model. ConfigError: an artifact is invalid, and the previous one stays in use.
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
