"""The embedded engine as a child process that never outlives us."""

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
    """Starts on entering, ready when `url` returns, stopped on leaving.

    The engine watches its standard input, a pipe whose other end only we hold: when we die, however suddenly, the pipe
    closes and the engine stops.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, weights: Path | None = None, budgets: str = "kept"
    ) -> None:
        """`weights` is a folder of model folders; the ones that ship if None. `budgets` is as of `thinkgate engine`."""
        command = [
            sys.executable,
            "-m",
            "gateway.cli",
            "engine",
            "--host",
            host,
            "--port",
            str(port),
            "--budgets",
            budgets,
        ]
        if weights is not None:
            command += ["--weights", str(weights)]
        self._process = subprocess.Popen(
            [*command, "--stop-with-parent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def url(self) -> str:
        """The engine's base URL, once it serves. EngineFailed: it has ended."""
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
    """In the engine: end this process when standard input closes."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="stop-with-parent", daemon=True).start()


def _drain(lines: Iterator[str] | IO[str]) -> None:
    """Pass on what the engine says, so that its output never blocks it."""
    with contextlib.suppress(ValueError):
        for line in lines:
            sys.stderr.write(line)
