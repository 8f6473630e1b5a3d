"""The one builder: parts out of settings, the application out of parts. Importing this does nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Depends, FastAPI
from starlette.routing import Route

from gateway import __version__, assembly
from gateway.api import asgi, health, models
from gateway.api.chat.request import ChatDialect
from gateway.api.dialect import Dialect
from gateway.api.endpoint import Endpoint
from gateway.api.error_handlers import add_error_handlers
from gateway.api.messages.count import CountTokens
from gateway.api.messages.dialect import MessagesDialect
from gateway.api.off_loop import OffLoop
from gateway.api.openapi import documents
from gateway.api.passthrough import READERS, Passthrough
from gateway.api.responses import routes as responses_routes
from gateway.api.responses.dialect import ResponsesDialect
from gateway.api.responses.store import ResponseStore, StoreLimits
from gateway.auth.authenticator import Authenticator
from gateway.auth.seal import Seal
from gateway.backends.admission import AdmissionController
from gateway.backends.capabilities import Capabilities
from gateway.backends.discovery.discovery import Discovery
from gateway.backends.latency import LatencyModels, latency_models_of
from gateway.backends.sign_in import SignIn
from gateway.backends.transport import Transport
from gateway.config.settings import Settings
from gateway.core.deployment import Deployment
from gateway.core.stopping import Stopping
from gateway.execution.accounting import Accounting
from gateway.execution.dispatch import Dispatch
from gateway.execution.ids import Ids
from gateway.execution.probe.prober import Prober
from gateway.observability.metrics import Metrics
from gateway.pipeline import Pipeline
from gateway.routing.catalogue import Catalogue
from gateway.storage.protocol import RecordStore
from gateway.storage.records import Records
from gateway.storage.retention import RetentionLimits

log = logging.getLogger("thinkgate")


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that lives as long as the application."""

    settings: Settings
    deployments: Mapping[str, Deployment]
    latencies: LatencyModels
    catalogue: Catalogue
    transport: Transport
    dispatch: Dispatch
    capabilities: Capabilities
    discovery: Discovery
    records: RecordStore
    metrics: Metrics
    stopping: Stopping
    authenticator: Authenticator
    seal: Seal
    responses: ResponseStore


def make_parts(settings: Settings) -> Parts:
    """Build and connect. ConfigError: the settings ask for something that cannot be."""
    deployments = assembly.deployments(settings)
    fallbacks = assembly.fallbacks(settings, deployments)
    speeds = latency_models_of(deployments.values())
    metrics = Metrics()
    capabilities = Capabilities()
    models = assembly.catalogue(settings, deployments, speeds)
    for model in models:
        metrics.serves(model.name, model.router.version)
        for line in model.unpromised:
            log.error("%s", line)
    transport = Transport(deployments, lambda name: metrics.retries.labels(name).inc())
    seal = assembly.seal(settings)

    def fell_back(name: str) -> None:
        metrics.fallbacks.labels(name).inc()

    transport.sign_in = SignIn(lambda name: metrics.sign_in.labels(name).inc())
    admission = {
        name: AdmissionController(each, speeds[name], metrics.watch(name)) for name, each in deployments.items()
    }
    return Parts(
        settings=settings,
        deployments=deployments,
        latencies=speeds,
        catalogue=models,
        transport=transport,
        dispatch=Dispatch(transport, admission, fallbacks, capabilities, fell_back, seal.salt),
        capabilities=capabilities,
        discovery=Discovery(transport, deployments.values(), capabilities, metrics.disagrees),
        records=records(settings, metrics),
        metrics=metrics,
        stopping=Stopping(),
        authenticator=assembly.authenticator(settings.access, lambda why: metrics.refused.labels(why).inc()),
        seal=seal,
        responses=response_store(settings),
    )


def records(settings: Settings, metrics: Metrics) -> Records:
    given = settings.records
    keep = RetentionLimits(given.max_age_s, given.max_rows, given.max_bytes)
    return Records(given.path, metrics.settle, keep, given.max_spool_bytes)


def response_store(settings: Settings) -> ResponseStore:
    given = settings.responses
    bounds = StoreLimits(
        items=given.max_items if given.store else 0,
        bytes=given.max_bytes,
        age_s=given.max_age_s,
        history_bytes=settings.server.max_body_bytes,
        history_turns=given.max_turns,
        key_share=given.max_share_per_key,
    )
    return ResponseStore(settings.responses_path, bounds)


class _App(FastAPI):
    """FastAPI, with a way past its layers for the routes that carry the traffic."""

    direct: Mapping[tuple[str, str], asgi.App]

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        direct = self.direct.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        await (direct or super().__call__)(scope, receive, send)


def create_app(parts: Parts) -> FastAPI:
    server = parts.settings.server
    ids = Ids()
    off_loop = OffLoop()
    pipeline = Pipeline(
        parts.catalogue,
        parts.dispatch,
        Prober(parts.dispatch, parts.capabilities),
        Accounting(parts.records, parts.metrics, parts.capabilities),
        ids,
        server.router_deadline_s,
    )
    dialects: dict[str, Dialect] = {
        "/v1/chat/completions": ChatDialect(parts.catalogue, server.max_messages),
        "/v1/messages": MessagesDialect(parts.catalogue, server.max_messages, parts.seal),
        "/v1/responses": ResponsesDialect(parts.catalogue, parts.responses, parts.seal, server.max_messages),
        **{f"/v1/{name}": Passthrough(name, parts.catalogue) for name in READERS},
    }
    endpoints: dict[str, asgi.App] = {
        path: Endpoint(dialect, parts.authenticator, pipeline, server, off_loop) for path, dialect in dialects.items()
    }
    endpoints["/v1/messages/count_tokens"] = CountTokens(
        parts.catalogue,
        parts.seal,
        parts.authenticator,
        parts.transport,
        parts.capabilities.enforcement,
        server,
        ids,
        off_loop,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        parts.records.start()
        parts.responses.open()
        await parts.transport.open()
        parts.discovery.start()
        try:
            yield
        finally:
            await parts.discovery.stop()
            await parts.transport.close()
            parts.records.stop()
            parts.responses.close()
            parts.authenticator.close()
            off_loop.close()

    app = _App(
        title="Thinkgate", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.router.redirect_slashes = False
    app.direct = {("POST", path): endpoint for path, endpoint in endpoints.items()}
    app.router.routes += [Route(path, endpoint, methods=["POST"]) for path, endpoint in endpoints.items()]
    started = int(time.time())
    app.include_router(models.router(parts.authenticator, parts.catalogue, started, parts.capabilities.enforcement))
    app.include_router(responses_routes.router(parts.authenticator, parts.responses, parts.seal))
    app.include_router(health.health_router())
    app.include_router(health.router(parts.authenticator, parts.deployments, parts.transport, parts.stopping))
    metrics = parts.settings.metrics_on_clients_port
    document = documents.clients(__version__, parts.settings.access.required, metrics)
    described = health.document_router(document)
    for shown, router in ((metrics, health.metrics_router(parts.metrics)), (server.openapi, described)):
        if shown:
            app.include_router(
                router,
                dependencies=[] if shown == "open" else [Depends(health.authenticated_only(parts.authenticator))],
            )
    add_error_handlers(app, ids)
    return app
