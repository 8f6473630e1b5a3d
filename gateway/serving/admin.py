"""The operator port: keys, usage, routers and metrics, separate from the client port."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import Depends, FastAPI, Request

from gateway import __version__
from gateway.api import data, health, router_versions
from gateway.api import experiments as experiment_routes
from gateway.api import keys as key_routes
from gateway.api import reload as router_reload
from gateway.api.data import Erase
from gateway.api.error_handlers import add_error_handlers
from gateway.api.openapi import documents
from gateway.api.safe_headers import SafeHeaders
from gateway.auth.keys import Keys
from gateway.config import secret_values
from gateway.config.server import AdminSettings, ServerSettings
from gateway.core.errors import ConfigError
from gateway.core.stopping import Stopping
from gateway.execution.ids import Ids
from gateway.observability import logs
from gateway.observability.metrics import Metrics
from gateway.routing.experiments.running import Experiments
from gateway.routing.version_control import VersionControl
from gateway.serving.server import GatewayServer

# Operator requests are short.
DRAIN_S = 5.0
SHORTEST_KEY = 16


def admin_key(admin: AdminSettings) -> str:
    """The operator key. ConfigError: it is missing or too short."""
    try:
        key = secret_values.secret(admin.key_env, admin.key_file, "key")
        if key is None:
            raise ConfigError(["key_env, key_file: set one of them"])
        if len(key) < SHORTEST_KEY:
            raise ConfigError([f"the operator key is shorter than {SHORTEST_KEY} characters"])
    except ConfigError as error:
        raise ConfigError([f"admin.{fault}" for fault in error.faults]) from error
    return key


def create_admin_app(
    keys: Keys,
    metrics: Metrics,
    key: str,
    reload: router_reload.Reload,
    erase: Erase,
    experiments: Callable[[], Experiments],
    control: Callable[[], VersionControl],
) -> FastAPI:
    """`/health` is public; all other routes require `key`."""
    app = FastAPI(title="Thinkgate admin", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(SafeHeaders)
    app.router.redirect_slashes = False
    guard = [Depends(key_routes.operators_only(key))]
    app.include_router(health.health_router())
    app.include_router(health.metrics_router(metrics), dependencies=guard)
    app.include_router(key_routes.router(keys), dependencies=guard)
    app.include_router(key_routes.teams_router(keys), dependencies=guard)
    app.include_router(data.router(keys, erase), dependencies=guard)
    app.include_router(key_routes.audit_router(keys), dependencies=guard)
    audited_reload = router_reload.router(
        reload, lambda request: key_routes.operator(keys, request).note("routers.reload")
    )
    app.include_router(audited_reload, dependencies=guard)

    def note(request: Request, action: str, name: str) -> str:
        operator = key_routes.operator(keys, request)
        operator.note(action, name)
        return operator.who

    app.include_router(experiment_routes.router(experiments, note), dependencies=guard)
    app.include_router(router_versions.router(control, note), dependencies=guard)
    app.include_router(health.document_router(documents.operators(__version__)), dependencies=guard)
    add_error_handlers(app, Ids())
    return app


@contextmanager
def running(app: FastAPI, limits: ServerSettings, listener: socket.socket) -> Iterator[None]:
    """Serve `app` in a thread of the main process, so that it answers even if all workers are busy."""
    logs.begin_audit()
    listening = threading.Event()
    server = GatewayServer(app, limits.model_copy(update={"drain_s": DRAIN_S}), Stopping(), listening.set)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), name="operators", daemon=True)
    thread.start()
    listening.wait()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
