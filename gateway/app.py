"""The one builder: parts out of settings, the application out of parts. Importing this does nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Depends, FastAPI
from starlette.routing import Route

from gateway import __version__, build
from gateway.abilities import Abilities
from gateway.access.door import Door
from gateway.api import models, openapi, ops, wire
from gateway.api.chat import Chat
from gateway.api.dialect import Dialect
from gateway.api.endpoint import Endpoint
from gateway.api.messages.count import CountTokens
from gateway.api.messages.dialect import Messages
from gateway.api.off_loop import OffLoop
from gateway.api.passed import READERS, PassedOn
from gateway.api.responses import routes as responses_routes
from gateway.api.responses.dialect import Responses
from gateway.api.responses.store import Bounds, ResponseStore
from gateway.api.telling import tell_errors
from gateway.backends.admission import Gate
from gateway.backends.pace import Paces, paces
from gateway.backends.sign_in import SignIn
from gateway.catalogue import Catalogue
from gateway.discovery.discovery import Discovery
from gateway.dispatch import Dispatch
from gateway.exchange import Ids
from gateway.metrics import Metrics
from gateway.pipeline import Pipeline
from gateway.probes.prober import Prober
from gateway.records import Records
from gateway.retention import Keep
from gateway.seal import Seal
from gateway.serving.stopping import Stopping
from gateway.settings import Settings
from gateway.types import Deployment
from gateway.upstream import Upstream

log = logging.getLogger("thinkgate")


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that lives as long as the application."""

    settings: Settings
    deployments: Mapping[str, Deployment]
    paces: Paces
    catalogue: Catalogue
    upstream: Upstream
    dispatch: Dispatch
    abilities: Abilities
    discovery: Discovery
    records: Records
    metrics: Metrics
    stopping: Stopping
    door: Door
    seal: Seal
    responses: ResponseStore


def make_parts(settings: Settings) -> Parts:
    """Build and connect. ConfigError: the settings ask for something that cannot be."""
    deployments = build.deployments(settings)
    fallbacks = build.fallbacks(settings, deployments)
    speeds = paces(deployments.values())
    metrics = Metrics()
    abilities = Abilities()
    models = build.catalogue(settings, deployments, speeds)
    for model in models:
        metrics.serves(model.name, model.router.version)
        for line in model.unpromised:
            log.error("%s", line)
    upstream = Upstream(deployments, lambda name: metrics.retries.labels(name).inc())
    seal = build.seal(settings)

    def fell_back(name: str) -> None:
        metrics.fallbacks.labels(name).inc()

    upstream.sign_in = SignIn(lambda name: metrics.sign_in.labels(name).inc())
    gates = {name: Gate(each, speeds[name], metrics.watch(name)) for name, each in deployments.items()}
    return Parts(
        settings=settings,
        deployments=deployments,
        paces=speeds,
        catalogue=models,
        upstream=upstream,
        dispatch=Dispatch(upstream, gates, fallbacks, abilities, fell_back, seal.salt),
        abilities=abilities,
        discovery=Discovery(upstream, deployments.values(), abilities, metrics.disagrees),
        records=records(settings, metrics),
        metrics=metrics,
        stopping=Stopping(),
        door=build.door(settings.access, lambda why: metrics.refused.labels(why).inc()),
        seal=seal,
        responses=response_store(settings),
    )


def records(settings: Settings, metrics: Metrics) -> Records:
    given = settings.records
    keep = Keep(given.max_age_s, given.max_rows, given.max_bytes)
    return Records(given.path, metrics.settle, keep, given.max_spool_bytes)


def response_store(settings: Settings) -> ResponseStore:
    given = settings.responses
    bounds = Bounds(
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

    direct: Mapping[tuple[str, str], wire.App]

    async def __call__(self, scope: wire.Scope, receive: wire.Receive, send: wire.Send) -> None:
        direct = self.direct.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        await (direct or super().__call__)(scope, receive, send)


def create_app(parts: Parts) -> FastAPI:
    server = parts.settings.server
    ids = Ids()
    off_loop = OffLoop()
    pipeline = Pipeline(
        parts.catalogue,
        parts.dispatch,
        parts.records,
        parts.metrics,
        server.router_deadline_s,
        parts.abilities,
        Prober(parts.dispatch, parts.abilities),
        ids,
    )
    dialects: dict[str, Dialect] = {
        "/v1/chat/completions": Chat(parts.catalogue, server.max_messages),
        "/v1/messages": Messages(parts.catalogue, server.max_messages, parts.seal),
        "/v1/responses": Responses(parts.catalogue, parts.responses, parts.seal, server.max_messages),
        **{f"/v1/{name}": PassedOn(name, parts.catalogue) for name in READERS},
    }
    endpoints: dict[str, wire.App] = {
        path: Endpoint(dialect, parts.door, pipeline, server, off_loop) for path, dialect in dialects.items()
    }
    endpoints["/v1/messages/count_tokens"] = CountTokens(
        parts.catalogue, parts.seal, parts.door, parts.upstream, parts.abilities.enforcement, server, ids, off_loop
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        parts.records.start()
        parts.responses.open()
        await parts.upstream.open()
        parts.discovery.start()
        try:
            yield
        finally:
            await parts.discovery.stop()
            await parts.upstream.close()
            parts.records.stop()
            parts.responses.close()
            parts.door.close()
            off_loop.close()

    app = _App(
        title="Thinkgate", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.router.redirect_slashes = False
    app.direct = {("POST", path): endpoint for path, endpoint in endpoints.items()}
    app.router.routes += [Route(path, endpoint, methods=["POST"]) for path, endpoint in endpoints.items()]
    started = int(time.time())
    app.include_router(models.router(parts.door, parts.catalogue, started, parts.abilities.enforcement))
    app.include_router(responses_routes.router(parts.door, parts.responses, parts.seal))
    app.include_router(ops.health_router())
    app.include_router(ops.router(parts.door, parts.deployments, parts.upstream, parts.stopping))
    metrics = parts.settings.metrics_on_clients_port
    document = openapi.document(__version__, parts.settings.access.required, metrics)
    described = ops.document_router(document)
    for shown, router in ((metrics, ops.metrics_router(parts.metrics)), (server.openapi, described)):
        if shown:
            app.include_router(router, dependencies=[] if shown == "open" else [Depends(ops.let_in(parts.door))])
    tell_errors(app, ids)
    return app
