"""For operators: `/health` (the process lives), `/ready` (the backends answer), `/metrics` (Prometheus)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.access.door import Door
from gateway.api import wire
from gateway.api.entered import entered
from gateway.metrics import Metrics
from gateway.serving.stopping import Stopping
from gateway.types import Deployment
from gateway.upstream import Upstream

# How long an answer counts, in seconds: however often `/ready` is asked, backends are asked no more often.
REMEMBERED_S = 1.0


class _Asking:
    """Asks all deployments whether they answer: once at a time, however many want to know, and not again at once."""

    def __init__(self, deployments: Mapping[str, Deployment], upstream: Upstream) -> None:
        self._deployments = deployments
        self._upstream = upstream
        self._asking: asyncio.Task[list[str | None]] | None = None
        self._answered = 0.0

    async def faults(self) -> dict[str, str | None]:
        """What is wrong with each, in words; None: nothing."""
        done = self._asking is None or self._asking.done()
        if done and time.monotonic() - self._answered >= REMEMBERED_S:
            self._asking = asyncio.create_task(self._ask())
        assert self._asking is not None, "it was asked once"
        return dict(zip(self._deployments, await asyncio.shield(self._asking), strict=True))

    async def _ask(self) -> list[str | None]:
        answers = await asyncio.gather(*map(self._upstream.answers, self._deployments.values()))
        self._answered = time.monotonic()
        return answers


def let_in(door: Door) -> Callable[[Request], Awaitable[None]]:
    """A dependency that is for whoever may come in."""

    async def check(request: Request) -> None:
        with entered(door, request):
            pass

    return check


def router(door: Door, deployments: Mapping[str, Deployment], upstream: Upstream, stopping: Stopping) -> APIRouter:
    """Anybody may ask `/ready`; which deployments there are is told to those who may come in."""
    routes = APIRouter()
    asking = _Asking(deployments, upstream)

    @routes.get("/ready")
    async def ready(request: Request) -> Response:
        if stopping.begun:
            return JSONResponse({"status": "stopping"}, 503)
        faults = await asking.faults()
        up = not any(faults.values())
        told: dict[str, Any] = {"status": "ready" if up else "not ready"}
        if door.knows(wire.read_headers(request.scope)):
            told["deployments"] = {name: fault or "ok" for name, fault in faults.items()}
        return JSONResponse(told, 200 if up else 503)

    return routes


def health_router() -> APIRouter:
    routes = APIRouter()

    @routes.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return routes


def metrics_router(metrics: Metrics) -> APIRouter:
    routes = APIRouter()

    @routes.get("/metrics")
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return routes


def document_router(document: dict[str, Any]) -> APIRouter:
    routes = APIRouter()

    @routes.get("/openapi.json")
    async def described() -> dict[str, Any]:
        return document

    return routes
