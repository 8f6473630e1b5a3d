"""For operators: `/health` (the process runs), `/ready` (the backends answer), `/metrics` (Prometheus)."""

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

# How long the result of a check is reused, in seconds: frequent calls of `/ready` must not load the backends.
REUSED_S = 1.0


class _Readiness:
    """Checks whether all deployments answer. Concurrent calls share one check, whose result is reused for a moment."""

    def __init__(self, deployments: Mapping[str, Deployment], transport: Transport) -> None:
        self._deployments = deployments
        self._transport = transport
        self._check: asyncio.Task[list[str | None]] | None = None
        self._checked = 0.0

    async def failures(self) -> dict[str, str | None]:
        """The failure of each deployment, as text; None: it answers."""
        check = self._check
        if check is None or (check.done() and time.monotonic() - self._checked >= REUSED_S):
            check = self._check = asyncio.create_task(self._check_all())
        return dict(zip(self._deployments, await asyncio.shield(check), strict=True))

    async def _check_all(self) -> list[str | None]:
        failures = await asyncio.gather(*map(self._transport.answers, self._deployments.values()))
        self._checked = time.monotonic()
        return failures


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
    readiness = _Readiness(deployments, transport)

    @routes.get("/ready")
    async def ready(request: Request) -> Response:
        if stopping.begun:
            return JSONResponse({"status": "stopping"}, 503)
        failures = await readiness.failures()
        ready = not any(failures.values())
        body: dict[str, Any] = {"status": "ready" if ready else "not ready"}
        if authenticator.is_known(asgi.read_headers(request.scope)):
            body["deployments"] = {name: failure or "ok" for name, failure in failures.items()}
        return JSONResponse(body, 200 if ready else 503)

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
