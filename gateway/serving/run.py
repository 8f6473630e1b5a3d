"""Runs the application: sockets, workers, and the embedded engine if there is no configuration."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from gateway import assembly
from gateway.api import data
from gateway.api.reload import Reload
from gateway.api.responses.store import response_store
from gateway.app import Parts, create_app, make_parts
from gateway.assembly.served_versions import version_control, with_versions
from gateway.backends.latency import latency_models_of
from gateway.config import exposure
from gateway.config.defaults import embedded_settings
from gateway.config.settings import Settings, share
from gateway.core.errors import ConfigError
from gateway.core.memory import collect_rarely, give_back_large_blocks, hide_loaded
from gateway.observability.metrics import Metrics, reloaded_by_supervisor
from gateway.routing.experiments.running import Experiments
from gateway.routing.version_control import VersionControl
from gateway.serving import admin, stored_files
from gateway.serving.artifact_copies import kept_routers
from gateway.serving.config_reload import ConfigReload, FixedSecrets, refuse_restart
from gateway.serving.engine_process import EngineFailed, EngineProcess
from gateway.serving.live_application import LiveApplication
from gateway.serving.open_files import raise_limit
from gateway.serving.server import BACKLOG, GatewayServer
from gateway.serving.version_watch import watching
from gateway.serving.workers import RENEW, Workers

Load = Callable[[], Settings]
Control = Callable[[], VersionControl]
log = logging.getLogger("thinkgate")


def serve(configured: Load, workers: int = 1) -> None:
    """Serve until SIGTERM or SIGINT. SIGHUP calls `configured` again and applies all of it, or nothing.

    ConfigError: the port is not available, or the settings are invalid.
    """
    _exit_on_signals()

    def load() -> Settings:
        return with_versions(configured())

    settings = load()
    versions = _validate(settings)
    raise_limit(settings.server.max_connections)
    for line in exposure.warnings(settings):
        log.warning("%s", line)
    listener = _listen(settings.server.host, settings.server.port, settings.server.reuse_port)
    host, port = listener.getsockname()[:2]

    def ready() -> None:
        for line in stored(settings):
            print(line)
        print(f"thinkgate ready on http://{host}:{port} (models: {', '.join(settings.models)})", flush=True)

    def control() -> VersionControl:
        return version_control(configured())

    with listener:
        if workers == 1:
            _serve_alone(load, settings, listener, ready, control)
        else:
            _serve_with_workers(load, settings, versions, listener, ready, control, workers)


def _serve_alone(
    load: Load, settings: Settings, listener: socket.socket, ready: Callable[[], None], control: Control
) -> None:
    parts = make_parts(settings)
    live = LiveApplication(parts, hide_loaded)
    config = ConfigReload(load, parts, live)
    _reload_on_signal(config.reload)
    operators = _operators(settings, parts.metrics, config.reload, lambda: config.experiments, control)
    with operators, watching(settings, config.reload):
        _run(live, parts, listener, ready, hand_over=settings.server.reuse_port)


def _serve_with_workers(
    load: Load,
    settings: Settings,
    versions: Mapping[str, str],
    listener: socket.socket,
    ready: Callable[[], None],
    control: Control,
    workers: int,
) -> None:
    served = (settings.version, versions)
    current, secrets = settings, FixedSecrets(settings, signing=False)

    def changed_settings() -> tuple[Settings, dict[str, str]]:
        changed = load()
        found = _validate(changed)
        refuse_restart(settings, changed, ("admin",))
        secrets.check(changed)
        if (changed.server.host, changed.server.port) != (settings.server.host, settings.server.port):
            raise ConfigError(["server: host and port cannot change while the gateway runs: restart it"])
        return changed, found

    def request_reload() -> dict[str, str]:
        """Validate the new settings, so that errors reach the caller, then reload by signal."""
        found = changed_settings()[1]
        os.kill(os.getpid(), signal.SIGHUP)
        return found

    def experiments() -> Experiments:
        return assembly.idle_experiments(current)

    operators = _operators(settings, Metrics(), request_reload, experiments, control)
    with kept_routers(settings.records.path) as copy, operators, watching(settings, request_reload):

        def again() -> str:
            nonlocal served, current
            try:
                changed, found = changed_settings()
                copied = copy(changed)
                _validate(copied)
            except ConfigError:
                reloaded_by_supervisor("refused")
                raise
            reloaded_by_supervisor("unchanged" if (changed.version, found) == served else "loaded")
            _announce((changed.version, found), served)
            served, current = (changed.version, found), changed
            return _for_worker(changed, copied, workers)

        first = _for_worker(settings, copy(settings), workers)
        Workers(_worker, first, listener, workers, again, ready).run()


def _announce(new: tuple[str, Mapping[str, str]], old: tuple[str, Mapping[str, str]]) -> None:
    """Say which configuration and which routers workers get from now on; each is a version, and routers by model."""
    if new[0] != old[0]:
        log.warning("configuration %s: workers are replaced one by one", new[0])
    for model, router in new[1].items():
        if old[1].get(model, router) != router:
            log.warning("model %s: router %s, after %s", model, router, old[1][model])


def stored(settings: Settings) -> Iterator[str]:
    """Lines that say where this gateway stores its data, with absolute paths."""
    if settings.data_dir is not None:
        yield f"thinkgate stores its files in {settings.data_dir.absolute()}"
    yield f"thinkgate stores records in {_records(settings)}"
    if settings.access.required or settings.admin is not None:
        yield f"thinkgate stores API keys in {settings.access.path.absolute()}"
    if settings.responses.store:
        yield f"thinkgate stores responses in {settings.responses_path.absolute()}"


def _records(settings: Settings) -> str:
    return str(assembly.archive(settings)) if settings.records.has_url else str(settings.records.path.absolute())


def serve_embedded(records: Path, host: str, port: int, workers: int = 1) -> None:
    """Start the embedded engine on a free port and serve its models. The engine stops with this process."""
    _exit_on_signals()
    # Before starting the engine, so that a port in use is reported at once.
    _listen(host, port, reuse=False).close()
    with EngineProcess() as engine:
        try:
            url = engine.url()
        except EngineFailed as error:
            raise ConfigError([str(error)]) from error
        serve(lambda: embedded_settings(url, records, host=host, port=port), workers)


def _exit_on_signals() -> None:
    """SIGTERM and SIGINT exit cleanly, also before and after the server handles them itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def _reload_on_signal(ask: Callable[[], object]) -> None:
    """Reload on SIGHUP; but if its terminal was closed, exit cleanly instead of staying behind."""
    if RENEW is None:
        return
    from_terminal = _has_terminal()

    def reload() -> None:
        # Errors are logged already.
        with suppress(ConfigError):
            ask()

    def renew(*_: object) -> None:
        if from_terminal and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
        else:
            # In a thread, so that requests do not wait.
            threading.Thread(target=reload, name="reload", daemon=True).start()

    signal.signal(RENEW, renew)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _validate(settings: Settings) -> dict[str, str]:
    """The router version of each model. ConfigError: the settings are invalid."""
    deployments = assembly.deployments(settings)
    assembly.fallbacks(settings, deployments)
    catalogue = assembly.catalogue(settings, deployments, latency_models_of(deployments.values()))
    stored_files.check(settings)
    assembly.archive(settings).prepare()
    assembly.authenticator(settings.access, lambda why: None).close()
    assembly.seal(settings)
    with closing(response_store(settings)) as store:
        store.open()
    if settings.admin is not None:
        admin.admin_key(settings.admin)
    return {model.name: model.router.version for model in catalogue}


def _for_worker(settings: Settings, kept: Settings, workers: int) -> str:
    """What a worker is given: the version of the configuration, and its share of it."""
    return f"{settings.version} {share(kept, workers).model_dump_json()}"


def _worker(given: str, listener: socket.socket, ready: Callable[[], None]) -> None:
    _exit_on_signals()
    version, settings = given.split(" ", 1)
    parts = make_parts(Settings.model_validate_json(settings), version)
    _run(create_app(parts), parts, listener, ready)


def _run(
    app: ASGIApp, parts: Parts, listener: socket.socket, ready: Callable[[], None], hand_over: bool = False
) -> None:
    give_back_large_blocks()
    collect_rarely()
    hide_loaded()
    GatewayServer(
        app,
        parts.settings.server,
        parts.stopping,
        ready,
        lambda why: parts.metrics.lost_connections.labels(why).inc(),
        hand_over,
    ).run(sockets=[listener])


@contextmanager
def _operators(
    settings: Settings, metrics: Metrics, reload: Reload, experiments: Callable[[], Experiments], control: Control
) -> Iterator[None]:
    """Serves the operator port, if configured. ConfigError: the port is not available, or the key is invalid."""
    if settings.admin is None:
        yield
        return
    key = admin.admin_key(settings.admin)
    erase = partial(data.erase, assembly.archive(settings), settings.responses_path)
    with _listen(settings.admin.host, settings.admin.port, settings.server.reuse_port, "admin.port") as listener:
        host, port = listener.getsockname()[:2]
        with admin.running(
            admin.create_admin_app(assembly.keys(settings.access), metrics, key, reload, erase, experiments, control),
            settings.server,
            listener,
        ):
            print(f"thinkgate for operators on http://{host}:{port}", flush=True)
            yield


def _listen(host: str, port: int, reuse: bool, option: str = "--port") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol is given explicitly.
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
