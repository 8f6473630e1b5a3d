"""A process under test: starts it, and reads the resource usage of it and its children from /proc (Linux only)."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MIB = 1 << 20


class NotStarted(RuntimeError):
    """It ended, or did not answer in time; the message has the last lines of its output."""


class Process:
    """Starts on construction; stopped with all its children on leaving the context."""

    def __init__(
        self, command: Sequence[str | Path], folder: Path, *, env: Mapping[str, str] | None = None, name: str = "it"
    ) -> None:
        """Runs in `folder`, and writes its output to `NAME.log` there."""
        self.name = name
        self._children = True
        self._log = folder / f"{name}.log"
        # The package may be a checkout that is not installed.
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with self._log.open("wb") as log:
            self._popen = subprocess.Popen(
                [str(part) for part in command],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path, **(env or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its children end with it
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def output(self) -> str:
        """All of its output so far."""
        return self._log.read_text("utf-8", "replace")

    def wait_until(self, ready: Callable[[], object], patience_s: float) -> None:
        """Wait until `ready()` is true. NotStarted: it ended, or took longer than `patience_s`."""
        deadline = time.monotonic() + patience_s
        while not ready():
            ended = self._popen.poll()
            if ended is not None or time.monotonic() > deadline:
                why = f"did not answer within {patience_s:.0f} s" if ended is None else f"ended with {ended}"
                raise NotStarted(f"{self.name} {why}: {self.output().strip()[-400:]}")
            time.sleep(0.05)

    def alone(self) -> Process:
        """The same process without its children."""
        twin = copy.copy(self)
        twin._children = False
        return twin

    def tree(self) -> list[int]:
        """The process and all its living descendants; only itself after `alone`."""
        found = [self._popen.pid]
        for pid in found if self._children else []:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += [int(child) for child in (task / "children").read_text().split()]
        return found

    def cpu_s(self) -> float:
        """CPU seconds, to the nanosecond, as the scheduler counts them; including threads that have ended."""
        return sum(_cpu_s(pid) for pid in self.tree())

    def rss_mib(self) -> float:
        return sum(_status(pid, "VmRSS:") for pid in self.tree()) / 1024

    def files(self) -> int:
        """Open file descriptors."""
        count = 0
        for pid in self.tree():
            with contextlib.suppress(OSError):
                count += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return count


def need_proc() -> None:
    """Exit with a message if there is no /proc."""
    if not sys.platform.startswith("linux"):
        sys.exit("what other processes use is read from /proc, which only Linux has")


def post(url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, timeout: float = 30) -> int:
    """The status of one request; 0 if there was no answer."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError):
        return 0


def _cpu_s(pid: int) -> float:
    # The id of another process's CPU clock on Linux (clock_getcpuclockid of the C library).
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def _status(pid: int, key: str) -> int:
    """A value of /proc/PID/status in KiB; 0 if the process has just ended."""
    try:
        return int(Path(f"/proc/{pid}/status").read_text().split(key)[1].split()[0])
    except (OSError, IndexError):
        return 0
