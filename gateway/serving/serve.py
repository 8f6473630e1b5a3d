"""Running the application: sockets, workers, and the embedded engine when there is no configuration."""

from __future__ import annotations

import errno
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway import build
from gateway.app import Parts, create_app, make_parts, response_store
from gateway.backends.pace import paces
from gateway.commands.engine_process import EngineFailed, EngineProcess
from gateway.defaults import embedded_settings
from gateway.errors import ConfigError
from gateway.metrics import Metrics
from gateway.serving import admin
from gateway.serving.server import BACKLOG, Server
from gateway.serving.workers import RENEW, Workers
from gateway.settings import Settings, share

Load = Callable[[], Settings]


def serve(load: Load, workers: int = 1) -> None:
    """Serve until told to stop; `load` is called again on SIGHUP, where there are several workers.

    ConfigError: the port cannot be had, or the settings cannot be built.
    """
    _exit_on_signals()
    settings = load()
    _validate(settings)
    listener = _listen(settings.server.host, settings.server.port, settings.server.reuse_port)
    host, port = listener.getsockname()[:2]

    def ready() -> None:
        print(f"thinkgate ready on http://{host}:{port} (models: {', '.join(settings.models)})", flush=True)

    def again() -> str:
        changed = load()
        _validate(changed)
        if (changed.server.host, changed.server.port) != (settings.server.host, settings.server.port):
            raise ConfigError(["server: host and port cannot change while it runs: start it again"])
        if (changed.admin, changed.access.path) != (settings.admin, settings.access.path):
            raise ConfigError(["admin, access.path: cannot change while it runs: start it again"])
        return share(changed, workers).model_dump_json()

    with listener:
        if workers == 1:
            # There is nobody to take its place: it stops in good order, as when its terminal is closed.
            if RENEW is not None:
                signal.signal(RENEW, lambda *_: signal.raise_signal(signal.SIGTERM))
            parts = make_parts(settings)
            with _operators(settings, parts.metrics):
                _run(parts, listener, ready)
            return
        with _operators(settings, Metrics()):
            Workers(_worker, share(settings, workers).model_dump_json(), listener, workers, again, ready).run()


def serve_embedded(records: Path, host: str, port: int, workers: int = 1) -> None:
    """Start the embedded engine on a free port and serve its models. The engine stops with us."""
    _exit_on_signals()
    # Before the engine is started: a port in use is to be told at once.
    _listen(host, port, reuse=False).close()
    with EngineProcess() as engine:
        try:
            url = engine.url()
        except EngineFailed as error:
            raise ConfigError([str(error)]) from error
        serve(lambda: embedded_settings(url, records, host=host, port=port), workers)


def _exit_on_signals() -> None:
    """SIGTERM and SIGINT end this process in good order, also before and after the server handles them itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def _validate(settings: Settings) -> None:
    """ConfigError: the settings cannot be built."""
    deployments = build.deployments(settings)
    build.fallbacks(settings, deployments)
    build.catalogue(settings, deployments, paces(deployments.values()))
    build.door(settings.access, lambda why: None).close()
    build.seal(settings)
    with closing(response_store(settings)) as store:
        store.open()
    if settings.admin is not None:
        admin.admin_key(settings.admin)


def _worker(settings: str, listener: socket.socket, ready: Callable[[], None]) -> None:
    _exit_on_signals()
    _run(make_parts(Settings.model_validate_json(settings)), listener, ready)


def _run(parts: Parts, listener: socket.socket, ready: Callable[[], None]) -> None:
    Server(create_app(parts), parts.settings.server, parts.stopping, ready).run(sockets=[listener])


@contextmanager
def _operators(settings: Settings, metrics: Metrics) -> Iterator[None]:
    """The operators' port, if there is to be one. ConfigError: it or its key cannot be had."""
    if settings.admin is None:
        yield
        return
    key = admin.admin_key(settings.admin)
    with _listen(settings.admin.host, settings.admin.port, settings.server.reuse_port, "admin.port") as listener:
        host, port = listener.getsockname()[:2]
        with admin.running(
            admin.create_admin_app(build.keys(settings.access), metrics, key), settings.server, listener
        ):
            print(f"thinkgate for operators on http://{host}:{port}", flush=True)
            yield


def _listen(host: str, port: int, reuse: bool, option: str = "--port") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, as asyncio would else let small answers wait for each other.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError([f"port {port} on {host} is in use: choose another with {option}"]) from error
        raise ConfigError([f"cannot listen on {host} port {port}: {error.strerror or error}"]) from error
    return listener
