"""Builds the application: its parts from settings, and its routes from the parts. Importing this does nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from gateway import __version__, assembly
from gateway.api import asgi, feedback, health, models
from gateway.api.chat.request import ChatDialect
from gateway.api.decide import Decide
from gateway.api.dialect import Dialect
from gateway.api.endpoint import Endpoint
from gateway.api.error_handlers import add_error_handlers
from gateway.api.hang_ups import HangUps
from gateway.api.lifetime import Lifetime, Service, SharedServices, StartOnFirstRequest
from gateway.api.messages.count import CountTokens
from gateway.api.messages.dialect import MessagesDialect
from gateway.api.off_loop import OffLoop
from gateway.api.openapi import documents
from gateway.api.passthrough import READERS, Passthrough
from gateway.api.responses import routes as responses_routes
from gateway.api.responses.dialect import ResponsesDialect
from gateway.api.responses.store import ResponseStore, response_store
from gateway.api.safe_headers import SafeHeaders
from gateway.api.traffic import Traffic
from gateway.assembly.live import Live
from gateway.assembly.served_versions import with_versions
from gateway.auth.authenticator import Authenticator
from gateway.auth.seal import Seal
from gateway.backends.admission import AdmissionController
from gateway.backends.capabilities import Capabilities
from gateway.backends.discovery.discovery import Discovery
from gateway.backends.latency import LatencyModels, latency_models_of
from gateway.backends.level_usage.history import LevelHistory
from gateway.backends.sign_in import SignIn
from gateway.backends.transport import Transport
from gateway.config.settings import Settings, load
from gateway.core.deployment import Deployment
from gateway.core.stopping import Stopping
from gateway.execution.answer_scoring import AnswerScoring
from gateway.execution.dispatch import Dispatch
from gateway.execution.ids import Ids
from gateway.execution.implicit_signals import ImplicitSignals
from gateway.observability.metrics import Metrics
from gateway.paired.background import Background
from gateway.paired.ledgers import Ledgers
from gateway.pipeline import Pipeline
from gateway.routing.catalogue import Catalogue, PublicModel
from gateway.routing.experiments.running import Experiments
from gateway.storage.protocol import RecordStore


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that lives as long as the application. `version` names the configuration that it was built from."""

    settings: Settings
    version: str
    deployments: Mapping[str, Deployment]
    latencies: LatencyModels
    catalogue: Catalogue
    experiments: Experiments
    transport: Transport
    admission: Mapping[str, AdmissionController]
    dispatch: Dispatch
    capabilities: Capabilities
    discovery: Discovery
    records: RecordStore
    scoring: AnswerScoring
    signals: ImplicitSignals
    metrics: Metrics
    stopping: Stopping
    authenticator: Authenticator
    seal: Seal
    responses: ResponseStore
    ledgers: Ledgers
    judge: PublicModel | None
    live: Live


def make_parts(settings: Settings, version: str | None = None) -> Parts:
    """The parts, connected. `version` is the settings' hash by default. ConfigError: they cannot be satisfied."""
    parts = replace(_connected(settings, Metrics(), None), version=version or settings.version)
    assembly.announce(parts.metrics, parts.version, parts.catalogue)
    return parts


def changed_parts(settings: Settings, before: Parts) -> Parts:
    """The parts of a running gateway under another configuration; what both have in common keeps its state.

    ConfigError: as for `make_parts`, and `before` is unchanged. It stays unchanged until the new parts are served.
    """
    if assembly.deployments(settings, before.deployments) != before.deployments:
        return _connected(settings, before.metrics, before)
    live = assembly.live(settings, before.transport, before.admission, before.live.spending, before.catalogue)
    models = assembly.catalogue(settings, before.deployments, before.latencies, live)
    return replace(
        before,
        settings=settings,
        version=settings.version,
        catalogue=models,
        experiments=assembly.experiments(settings, models),
        judge=assembly.judge(settings, before.deployments, before.latencies, models),
        authenticator=_authenticator(settings, before.metrics, before),
        live=live,
    )


def _connected(settings: Settings, metrics: Metrics, before: Parts | None) -> Parts:
    """Parts with their own connections to all deployments."""
    deployments = assembly.deployments(settings, {} if before is None else before.deployments)
    fallbacks = assembly.fallbacks(settings, deployments)
    speeds = latency_models_of(deployments.values())
    capabilities = Capabilities()
    capabilities.levels.report = metrics.disagrees
    admission: dict[str, AdmissionController] = {}
    if before is not None:
        same = [name for name, one in deployments.items() if one == before.deployments.get(name)]
        speeds |= {name: before.latencies[name] for name in same}
        admission |= {name: before.admission[name] for name in same}
        capabilities.adopt(before.capabilities, same)
    for name in deployments.keys() - admission.keys():
        admission[name] = AdmissionController(deployments[name], speeds[name], metrics.watch(name))
    transport = Transport(deployments, lambda name: metrics.retries.labels(name).inc())
    spending, models_before = (before.live.spending, before.catalogue) if before else (None, ())
    live = assembly.live(settings, transport, admission, spending, models_before)
    models = assembly.catalogue(settings, deployments, speeds, live)
    seal = assembly.seal(settings) if before is None else before.seal
    transport.sign_in = SignIn(lambda name: metrics.sign_in.labels(name).inc())
    return Parts(
        settings=settings,
        version=settings.version,
        deployments=deployments,
        latencies=speeds,
        catalogue=models,
        experiments=assembly.experiments(settings, models),
        transport=transport,
        admission=admission,
        dispatch=Dispatch(transport, admission, fallbacks, capabilities, metrics.fell_back, seal.salt),
        capabilities=capabilities,
        discovery=Discovery(transport, deployments.values(), capabilities, metrics.disagrees),
        records=assembly.records(settings, metrics.settle) if before is None else before.records,
        scoring=AnswerScoring(metrics.verified) if before is None else before.scoring,
        signals=ImplicitSignals() if before is None else before.signals,
        metrics=metrics,
        stopping=Stopping() if before is None else before.stopping,
        authenticator=_authenticator(settings, metrics, before),
        seal=seal,
        responses=response_store(settings) if before is None else before.responses,
        ledgers=Ledgers() if before is None else before.ledgers,
        judge=assembly.judge(settings, deployments, speeds, models),
        live=live,
    )


def _authenticator(settings: Settings, metrics: Metrics, before: Parts | None) -> Authenticator:
    if before is not None and before.settings.access == settings.access:
        return before.authenticator
    return assembly.authenticator(settings.access, lambda why: metrics.refused.labels(why).inc())


def create(path: str | Path) -> Starlette:
    """The ASGI application for a configuration file in TOML, for any ASGI server and for tests.

    It starts with the lifespan protocol or, if the server does not support that, with the first request.
    ConfigError: the file cannot be read, or its settings cannot be satisfied.
    """
    return create_app(make_parts(with_versions(load(Path(path)))))


def create_app(parts: Parts, shared: SharedServices | None = None) -> Starlette:
    """The routes: model requests are plain ASGI endpoints, and FastAPI serves everything else.

    FastAPI's layers add at least 60 us to a short request, which takes 600 us in this process: too much for routes that
    use none of its features. `docs/asgi.md` has the measurement.

    `shared`: services of other applications in this process that may use some of the same parts.
    """
    ids, off_loop = Ids(), OffLoop()
    pipeline = assembly.pipeline(parts, ids)
    background = Background(pipeline, parts)
    lifetime = Lifetime(_running(parts, background, off_loop, shared or SharedServices()))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await lifetime.start()
        try:
            yield
        finally:
            await lifetime.stop()

    endpoints = dict(_traffic(parts, pipeline, background, off_loop))
    # FastAPI gets the traffic's routes, too, to answer requests with the wrong method.
    traffic = [Route(path, answer, methods=["POST"]) for path, answer in endpoints.items()]
    api = FastAPI(title="Thinkgate", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    api.router.redirect_slashes = False
    api.router.routes += traffic
    for router, guard in _api_routers(parts):
        api.include_router(router, dependencies=guard)
    add_error_handlers(api, ids, mounted=True)
    app = Starlette(
        routes=[*traffic, Mount("", api)],
        middleware=[
            Middleware(StartOnFirstRequest, lifetime),
            Middleware(Traffic, endpoints),
            Middleware(SafeHeaders),
        ],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.router.default = api  # for request targets that are not paths, such as `*`
    return app


def _traffic(parts: Parts, pipeline: Pipeline, background: Background, off_loop: OffLoop) -> list[tuple[str, asgi.App]]:
    """The paths of model requests with their ASGI endpoints."""
    server, catalogue, seal, authenticator = parts.settings.server, parts.catalogue, parts.seal, parts.authenticator
    capabilities, hang_ups, ids = parts.capabilities, HangUps(), pipeline.ids

    def endpoint(dialect: Dialect) -> asgi.App:
        return Endpoint(dialect, authenticator, pipeline, server, off_loop, hang_ups, background.offer)

    models, enforcement = (catalogue, parts.experiments), capabilities.enforcement
    count = CountTokens(*models, seal, authenticator, parts.transport, enforcement, server, ids, off_loop)
    chat = ChatDialect(catalogue, server.max_messages)
    messages = MessagesDialect(catalogue, server.max_messages, seal)
    responses = ResponsesDialect(catalogue, parts.responses, seal, server.max_messages)
    dialects: dict[str, Dialect] = {one.name: one for one in (chat, messages, responses)}
    return [
        ("/v1/chat/completions", endpoint(chat)),
        ("/v1/messages", endpoint(messages)),
        ("/v1/responses", endpoint(responses)),
        ("/v1/decide", Decide(pipeline.decider, dialects, authenticator, server, ids, off_loop)),
        *((f"/v1/{name}", endpoint(Passthrough(name, catalogue))) for name in READERS),
        ("/v1/messages/count_tokens", count),
    ]


def _api_routers(parts: Parts) -> Iterator[tuple[APIRouter, list[Any]]]:
    """The FastAPI routers, each with its dependencies, which authenticate requests."""
    settings, authenticator, catalogue = parts.settings, parts.authenticator, parts.catalogue
    yield models.router(authenticator, catalogue, int(time.time()), parts.capabilities.enforcement), []
    yield responses_routes.router(authenticator, parts.responses, parts.seal), []
    yield health.health_router(), []
    yield health.router(authenticator, parts.deployments, parts.transport, parts.stopping), []
    metrics, described = settings.metrics_on_clients_port, settings.server.openapi
    document = documents.clients(__version__, settings.access.required, metrics, settings.feedback.accept)
    if settings.feedback.accept:
        yield feedback.router(authenticator, parts.records, settings.server, settings.feedback.max_per_minute), []
    pages = (metrics, health.metrics_router(parts.metrics)), (described, health.document_router(document))
    for shown, router in pages:
        if shown:
            yield router, [] if shown == "open" else [Depends(health.authenticated_only(authenticator))]


@asynccontextmanager
async def _running(
    parts: Parts, background: Background, off_loop: OffLoop, shared: SharedServices
) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for service in _services(parts, background, off_loop):
            await shared.start(service)
            stack.push_async_callback(shared.stop, service)
        yield


def _services(parts: Parts, background: Background, off_loop: OffLoop) -> list[Service]:
    """In the order in which they start; they stop in the reverse order."""
    engines, spending = parts.live.engines, parts.live.spending
    levels = LevelHistory(parts.capabilities.levels, assembly.archive(parts.settings))
    return [
        *([] if spending is None else [Service(spending, stop=spending.close)]),
        Service(off_loop, stop=off_loop.close),
        Service(parts.authenticator, stop=parts.authenticator.close),
        Service(parts.responses, parts.responses.open, parts.responses.close),
        Service(parts.experiments, parts.experiments.open, parts.experiments.close),
        Service(parts.records, parts.records.start, parts.records.stop),
        Service(levels, levels.open, levels.close),
        Service(parts.scoring, stop=partial(asyncio.to_thread, parts.scoring.stop)),
        Service(parts.transport, parts.transport.open, parts.transport.close),
        *([] if engines is None else [Service(engines, engines.start, engines.stop)]),
        Service(parts.discovery, parts.discovery.start, parts.discovery.stop),
        Service(background, stop=background.close),
    ]
