"""For operators: `/health` (the process lives), `/ready` (the backends answer), `/metrics` (Prometheus)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.metrics import Metrics
from gateway.stopping import Stopping
from gateway.types import Deployment
from gateway.upstream import Upstream


def router(deployments: Mapping[str, Deployment], upstream: Upstream, stopping: Stopping) -> APIRouter:
    routes = APIRouter()

    @routes.get("/ready")
    async def ready() -> Response:
        if stopping.begun:
            return JSONResponse({"status": "stopping"}, 503)
        faults = await asyncio.gather(*(upstream.answers(deployment) for deployment in deployments.values()))
        states: dict[str, Any] = {name: fault or "ok" for name, fault in zip(deployments, faults, strict=True)}
        up = not any(faults)
        return JSONResponse({"status": "ready" if up else "not ready", "deployments": states}, 200 if up else 503)

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
