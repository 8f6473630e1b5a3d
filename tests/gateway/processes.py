"""Runs `thinkgate serve` as a separate process."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.gateway.stored import stored
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
READY = "thinkgate ready on "
OPERATORS = "thinkgate for operators on "
_numbers = itertools.count()


class Process:
    """Started on entering; `url` returns when it is ready; killed on leaving if it still runs.

    `operators` is the URL of the operators' port, once it is ready.
    """

    operators = ""

    def __init__(self, *arguments: str | Path, cwd: Path, program: Sequence[str] = ("-m", "gateway.cli")) -> None:
        """`program` is what Python runs."""
        command = [sys.executable, "-W", "error", *program, "serve", *map(str, arguments)]
        self.errors_file = cwd / f"stderr-{next(_numbers)}.txt"
        # Appended to, and read through another file: one that is shared has one position, and reading would move
        # it under the writers, whose next lines then fall on top of earlier ones.
        with self.errors_file.open("ab") as errors:
            self.popen = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def __enter__(self) -> Process:
        return self

    def url(self) -> str:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            if line.startswith(OPERATORS):
                self.operators = line.removeprefix(OPERATORS).strip()
            if line.startswith(READY):
                return line.removeprefix(READY).split()[0]
        raise AssertionError(f"the gateway ended with {self.popen.wait()}: {self.errors()}")

    def output(self) -> str:
        """Its output since it was ready; to be read after it has ended."""
        assert self.popen.stdout is not None
        return self.popen.stdout.read()

    def errors(self) -> str:
        """Its error output so far."""
        return self.errors_file.read_text("utf-8")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        self.popen.send_signal(number)
        return self.popen.wait(PATIENCE_S)

    def __exit__(self, *_: object) -> None:
        self.popen.kill()
        self.popen.wait()
        assert self.popen.stdout is not None
        self.popen.stdout.close()


def recorded(config: Path) -> list[str]:
    """Request ids of the rows; none while there is no table."""
    return [id for (id,) in stored(config.parent / "thinkgate.db", "request_id")]


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def workers(pid: int) -> set[int]:
    """The worker processes, without the resource tracker of `multiprocessing`."""
    return {child for child in children(pid) if "spawn_main" in command(child)}


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it ended just now
