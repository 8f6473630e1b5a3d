"""Running the application: sockets, workers, and the embedded engine when there is no configuration."""

from __future__ import annotations

import errno
import signal
import socket
import sys
import threading
import urllib.request
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from gateway.app import create_app, make_parts
from gateway.connections import client_connection
from gateway.defaults import embedded_settings
from gateway.engine_process import EngineFailed, EngineProcess
from gateway.errors import ConfigError
from gateway.settings import Settings
from gateway.workers import run_workers

BACKLOG = 2048
# Connections that idle for less than a load balancer's usual 60 s are kept: closing them first is its part.
KEEPALIVE_S = 75


def serve(settings: Settings, workers: int = 1) -> None:
    """Serve until told to stop. ConfigError: the port cannot be had, or the settings cannot be built."""
    _exit_on_signals()
    parts = make_parts(settings)
    listener = _listen(settings.server.host, settings.server.port)
    host, port = listener.getsockname()[:2]
    ready = f"thinkgate ready on http://{host}:{port} (models: {', '.join(settings.models)})"
    if workers == 1:
        _Server(server_config(create_app(parts), settings), ready).run(sockets=[listener])
        return
    threading.Thread(target=_announce, args=(f"http://{host}:{port}/health", ready), daemon=True).start()
    run_workers(_worker, settings.model_dump_json(), listener, workers)


def serve_embedded(records: Path, host: str, port: int, workers: int = 1) -> None:
    """Start the embedded engine on a free port and serve its models. The engine stops with us."""
    _exit_on_signals()
    # Before the engine is started: a port in use is to be told at once.
    _listen(host, port).close()
    with EngineProcess() as engine:
        try:
            url = engine.url()
        except EngineFailed as error:
            raise ConfigError([str(error)]) from error
        serve(embedded_settings(url, records, host=host, port=port), workers)


def _exit_on_signals() -> None:
    """SIGTERM and SIGINT end this process in good order, also before and after the server handles them itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def _worker(settings: str, listener: socket.socket) -> None:
    _exit_on_signals()
    chosen = Settings.model_validate_json(settings)
    uvicorn.Server(server_config(create_app(make_parts(chosen)), chosen)).run(sockets=[listener])


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        access_log=False,  # the records say more
        log_level="warning",
        http=client_connection(settings.server.write_timeout_s),
        ws="none",
        lifespan="on",
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEPALIVE_S,
    )


class _Server(uvicorn.Server):
    """Says so when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._ready, flush=True)


def _announce(health: str, ready: str) -> None:
    """The listener is open already, so this returns when the first worker answers."""
    with urllib.request.urlopen(health, timeout=60):
        print(ready, flush=True)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError([f"port {port} on {host} is in use: choose another with --port"]) from error
        raise ConfigError([f"cannot listen on {host} port {port}: {error.strerror or error}"]) from error
    return listener
