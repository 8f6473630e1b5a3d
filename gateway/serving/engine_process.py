"""The embedded engine as a child process that never outlives its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

READY = "thinkgate engine ready on "


class EngineFailed(Exception):
    """The engine exited before it was ready; its standard error has the reason."""


class EngineProcess:
    """A context manager that starts the engine and stops it on exit; it is ready when `url` returns.

    The engine watches its standard input, a pipe from this process: when this process dies, the pipe closes and the
    engine stops.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, weights: Path | None = None, budgets: str = "kept"
    ) -> None:
        """`weights` is a folder of model folders, None for the included ones; `budgets` as in `thinkgate engine`."""
        options = ["--host", host, "--port", str(port), "--budgets", budgets, "--stop-with-parent"]
        if weights is not None:
            options += ["--weights", str(weights)]
        command = [sys.executable, "-m", "gateway.cli", "engine", *options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def url(self) -> str:
        """Wait for the engine and return its base URL. EngineFailed: it exited."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(READY):
                threading.Thread(target=_drain, args=(self._process.stdout,), daemon=True).start()
                return line.removeprefix(READY).strip()
        raise EngineFailed(f"the embedded engine did not start (exit status {self._process.wait()})")

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def stop_with_parent() -> None:
    """In the engine: exit when standard input closes."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="stop-with-parent", daemon=True).start()


def _drain(lines: Iterator[str] | IO[str]) -> None:
    """Forward the engine's output, so that a full pipe never blocks it."""
    with contextlib.suppress(ValueError):
        for line in lines:
            sys.stderr.write(line)
