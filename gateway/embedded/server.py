"""The engine as a process: `thinkgate engine`.

Numerical libraries are imported only after the number of threads is set, as BLAS reads it once.
"""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
from pathlib import Path

from gateway.observability import logs

log = logging.getLogger("thinkgate.engine")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
BACKLOG = 1024
# How long the decoding thread may hold the interpreter lock while the HTTP side waits for it, in seconds.
SWITCH_INTERVAL_S = 0.001
READY = "thinkgate engine ready on "


class CannotStart(Exception):
    """The message is one line with the reason."""


def run(
    host: str = "127.0.0.1",
    port: int = 0,
    weights: Path | None = None,
    max_batch: int = 32,
    max_queue: int = 256,
    budgets: str = "kept",
) -> None:
    """Serve until a signal stops the process. Port 0 takes a free one; the line READY + URL on stdout announces it.

    Up to `max_batch` answers per model are generated at once, and `max_queue` more may wait. `budgets` is how thinking
    budgets are treated: `kept`, `ignored` or `refused`. Exits with status 1 and one line on stderr if it cannot start.
    """
    logs.begin()
    try:
        _serve(host, port, weights, max_batch, max_queue, budgets)
    except CannotStart as error:
        print(f"thinkgate engine: {error}", file=sys.stderr)
        sys.exit(1)


def _serve(host: str, port: int, weights: Path | None, max_batch: int, max_queue: int, budgets: str) -> None:
    listening = _listen(host, port)
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    import uvicorn  # after the environment is set

    from gateway.embedded.app import create_app
    from gateway.embedded.engine import Engine
    from gateway.embedded.model import ModelError
    from gateway.embedded.served import WEIGHTS, load_all

    try:
        models = load_all(weights or WEIGHTS, max_batch)
    except ModelError as error:
        raise CannotStart(str(error)) from error

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print(f"{READY}{_url(listening)}", flush=True)

        def end(self) -> None:
            self.should_exit = True

    def broken() -> None:
        log.error("decoding failed, the engine stops")
        server.end()

    app = create_app(Engine(models, max_queue, broken), budgets)
    config = uvicorn.Config(
        app, log_config=None, log_level="warning", access_log=False, backlog=BACKLOG, timeout_graceful_shutdown=2
    )
    server = Server(config)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    server.run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CannotStart(f"cannot listen on {host}:{port}: {reason}") from error
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
