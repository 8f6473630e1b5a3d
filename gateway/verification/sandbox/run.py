"""Runs code and its tests in a process of their own, within limits, and always ends it."""

from __future__ import annotations

import ctypes
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

import orjson

from gateway.verification.sandbox import landlock, seccomp
from gateway.verification.sandbox.child import NOT_ISOLATED

ROOT = str(Path(__file__).resolve().parents[3])
# What it may write about itself, in bytes.
MOST_OUTPUT = 200
OPEN_FILES = 64


class SandboxLimits(NamedTuple):
    """`required`: nothing runs where the kernel cannot keep it from files, the network and other processes."""

    cpu_s: int
    wall_s: float
    memory_bytes: int
    required: bool = True

    @property
    def kernel(self) -> dict[str, int]:
        """By the kernel's names. Files that it writes stay empty, and it begins no process, even where the rest of the
        isolation is missing; the latter does not hold for root.
        """
        return {
            "RLIMIT_CPU": self.cpu_s,
            "RLIMIT_AS": self.memory_bytes,
            "RLIMIT_FSIZE": 0,
            "RLIMIT_NPROC": 0,
            "RLIMIT_NOFILE": OPEN_FILES,
            "RLIMIT_CORE": 0,
        }


def missing_isolation() -> str | None:
    """What this machine lacks to keep code from everything else; None: nothing."""
    if not seccomp.is_known():
        return "filters of system calls (seccomp on Linux, x86-64 or ARM64)"
    if not landlock.version(ctypes.CDLL(None, use_errno=True)):
        return "restricted files (Landlock, Linux 5.13 or later)"
    return None


def share_passed(code: str, tests: str, limits: SandboxLimits) -> float | None:
    """The share of tests that pass; None: nothing was run, as isolation is required and failed."""
    token = secrets.token_hex(16)
    job = {"code": code, "tests": tests, "token": token, "limits": limits.kernel, "required": limits.required}
    with tempfile.TemporaryDirectory(prefix="thinkgate-tests-", ignore_cleanup_errors=True) as folder:
        out, into = os.pipe()
        try:
            with os.fdopen(into, "wb") as result, tempfile.TemporaryFile() as given:
                given.write(orjson.dumps(job))
                given.seek(0)
                process = _begin(given, result, folder)
            try:
                line = _line(out, limits.wall_s)
            finally:
                _end(process)
        finally:
            os.close(out)
    if process.returncode == NOT_ISOLATED:
        return None
    words = line.split()
    if len(words) != 3 or not secrets.compare_digest(words[0], token):
        return 0.0
    return min(int(words[1]) / max(int(words[2]), 1), 1.0)


def _begin(given: IO[bytes], result: IO[bytes], folder: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-S", "-s", "-B", "-m", "gateway.verification.sandbox.child"],
        stdin=given,
        stdout=result,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={"PYTHONPATH": ROOT, "PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1"},
        start_new_session=True,
    )


def _line(out: int, wall_s: float) -> str:
    """The first of what it writes, once it is over or has had its time."""
    end = time.monotonic() + wall_s
    poll = select.poll()
    poll.register(out, select.POLLIN)
    data = b""
    while (left := end - time.monotonic()) > 0 and poll.poll(left * 1000):
        piece = os.read(out, MOST_OUTPUT)
        data += piece
        if not piece or len(data) > MOST_OUTPUT:
            break
    return data[:MOST_OUTPUT].decode("ascii", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with all that it has begun, however it ended itself."""
    with suppress(ProcessLookupError):  # it is over, and so is its group
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
