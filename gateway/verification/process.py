"""The verifiers' process as the gateway sees it: begun with the first job, ended and begun anew where it fails."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from gateway.verification.job import VerificationJob, dump

# How long a job may take by the clock, beside what its verifier may wait for: its CPU time is what is limited, so only
# a process that is stuck gets that far.
WALL_S = 120.0
MOST_REPLY = 10_000


class VerificationFailed(Exception):
    """A verifier has come to no end: it failed, or took more time or memory than it may."""


class VerifierProcess:
    """Not thread-safe. It has nothing of the gateway's environment, and so none of its secrets."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def score(self, job: VerificationJob) -> float | None:
        """From 0 to 1; None: the verifier cannot tell. VerificationFailed. Blocks."""
        try:
            line = dump(job)
        except TypeError as error:
            raise VerificationFailed("it has a text that is no Unicode, or a value that is no JSON") from error
        try:
            reply = self._ask(line, WALL_S + job.verifier.wall_s)
        except (OSError, ValueError) as error:
            self.close()
            raise VerificationFailed(str(error)) from error
        if "error" in reply:
            raise VerificationFailed(str(reply["error"]))
        score = reply["score"]
        return None if score is None else min(max(float(score), 0.0), 1.0)

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()

    def _ask(self, line: bytes, wall_s: float) -> dict[str, Any]:
        """OSError: the process has ended, or is stuck."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(line)
        out, end, reply = process.stdout.fileno(), time.monotonic() + wall_s, b""
        poll = select.poll()
        poll.register(out, select.POLLIN)
        while not reply.endswith(b"\n"):
            if not poll.poll(max(end - time.monotonic(), 0) * 1000):
                raise TimeoutError("it is stuck")
            piece = os.read(out, MOST_REPLY)
            if not piece or len(reply) > MOST_REPLY:
                raise BrokenPipeError("it has ended")
            reply += piece
        found: dict[str, Any] = orjson.loads(reply)
        return found

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-B", "-m", "gateway.verification.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env=_environment(),
            )
        return self._process


def _environment() -> dict[str, str]:
    """What it takes to import what the gateway can import, also what was registered from outside."""
    libraries = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {
        **libraries,
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        "PYTHONSAFEPATH": "1",
    }
