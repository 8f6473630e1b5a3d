"""For operators: `/health` (the process lives), `/ready` (the backends answer), `/metrics` (Prometheus)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.api import asgi
from gateway.api.authentication import authenticated
from gateway.auth.authenticator import Authenticator
from gateway.backends.transport import Transport
from gateway.core.deployment import Deployment
from gateway.core.stopping import Stopping
from gateway.observability.metrics import Metrics

# How long an answer counts, in seconds: however often `/ready` is asked, backends are asked no more often.
REMEMBERED_S = 1.0


class _Readiness:
    """Asks all deployments whether they answer: once at a time, however many want to know, and not again at once."""

    def __init__(self, deployments: Mapping[str, Deployment], transport: Transport) -> None:
        self._deployments = deployments
        self._transport = transport
        self._asking: asyncio.Task[list[str | None]] | None = None
        self._answered = 0.0

    async def faults(self) -> dict[str, str | None]:
        """What is wrong with each, in words; None: nothing."""
        asking = self._asking
        if asking is None or (asking.done() and time.monotonic() - self._answered >= REMEMBERED_S):
            asking = self._asking = asyncio.create_task(self._ask())
        return dict(zip(self._deployments, await asyncio.shield(asking), strict=True))

    async def _ask(self) -> list[str | None]:
        answers = await asyncio.gather(*map(self._transport.answers, self._deployments.values()))
        self._answered = time.monotonic()
        return answers


def authenticated_only(authenticator: Authenticator) -> Callable[[Request], Awaitable[None]]:
    """A dependency that requires a valid key."""

    async def check(request: Request) -> None:
        with authenticated(authenticator, request):
            pass

    return check


def router(
    authenticator: Authenticator, deployments: Mapping[str, Deployment], transport: Transport, stopping: Stopping
) -> APIRouter:
    """`/ready` is public; it lists deployments only to authenticated clients."""
    routes = APIRouter()
    asking = _Readiness(deployments, transport)

    @routes.get("/ready")
    async def ready(request: Request) -> Response:
        if stopping.begun:
            return JSONResponse({"status": "stopping"}, 503)
        faults = await asking.faults()
        up = not any(faults.values())
        told: dict[str, Any] = {"status": "ready" if up else "not ready"}
        if authenticator.is_known(asgi.read_headers(request.scope)):
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
