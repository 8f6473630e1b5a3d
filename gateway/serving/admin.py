"""The operators' own port: keys, what each has used, routers and metrics; nothing of it is on the clients' port."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Depends, FastAPI

from gateway import __version__, logs, settings, settings_secrets
from gateway.access.keys import Keys
from gateway.api import data, openapi_admin, ops, routers
from gateway.api import keys as key_routes
from gateway.api.data import Erase
from gateway.api.routers import Reload
from gateway.api.telling import tell_errors
from gateway.errors import ConfigError
from gateway.exchange import Ids
from gateway.metrics import Metrics
from gateway.serving.server import Server
from gateway.serving.stopping import Stopping

# Operators' requests are short, and their key is not.
DRAIN_S = 5.0
SHORTEST_KEY = 16


def admin_key(admin: settings.Admin) -> str:
    """ConfigError: there is none, or one that can be guessed."""
    try:
        key = settings_secrets.secret(admin.key_env, admin.key_file, "key")
        if key is None:
            raise ConfigError(["key_env, key_file: name one of them"])
        if len(key) < SHORTEST_KEY:
            raise ConfigError([f"the operators' key is shorter than {SHORTEST_KEY} characters"])
    except ConfigError as error:
        raise ConfigError([f"admin.{fault}" for fault in error.faults]) from error
    return key


def create_admin_app(keys: Keys, metrics: Metrics, key: str, reload: Reload, erase: Erase) -> FastAPI:
    """`/health` is for anybody; all else asks for `key`."""
    app = FastAPI(title="Thinkgate admin", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.router.redirect_slashes = False
    guard = [Depends(key_routes.operators_only(key))]
    app.include_router(ops.health_router())
    app.include_router(ops.metrics_router(metrics), dependencies=guard)
    app.include_router(key_routes.router(keys), dependencies=guard)
    app.include_router(data.router(keys, erase), dependencies=guard)
    app.include_router(key_routes.audit_router(keys), dependencies=guard)
    noted = routers.router(reload, lambda request: key_routes.operator(keys, request).note("routers.reload"))
    app.include_router(noted, dependencies=guard)
    app.include_router(ops.document_router(openapi_admin.document(__version__)), dependencies=guard)
    tell_errors(app, Ids())
    return app


@contextmanager
def running(app: FastAPI, limits: settings.Server, listener: socket.socket) -> Iterator[None]:
    """Served in a thread of this process, the first one, so that it answers however busy the workers are."""
    logs.begin_audit()
    listening = threading.Event()
    server = Server(app, limits.model_copy(update={"drain_s": DRAIN_S}), Stopping(), listening.set)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), name="operators", daemon=True)
    thread.start()
    listening.wait()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
