"""What no test may leave behind: processes that live on, and sockets that listen. Read from /proc, so Linux only."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SELF = Path("/proc/self")
# What has been told to end may take a moment for it; a test that leaves nothing is not held up.
ENDS_WITHIN_S = 30.0
# Processes that Python itself starts once and keeps.
KEPT = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


@dataclass(frozen=True)
class Belongings:
    """Of this process: its living children by process id, and its open sockets as /proc names them."""

    children: frozenset[int]
    sockets: frozenset[str]

    @classmethod
    def now(cls) -> Belongings:
        if not sys.platform.startswith("linux"):
            return cls(frozenset(), frozenset())
        return cls(frozenset(_children()), frozenset(_sockets()))

    def left(self) -> list[str]:
        """What has come since and stays, in words."""
        deadline = time.monotonic() + ENDS_WITHIN_S
        while found := self._more():
            if time.monotonic() > deadline:
                break
            threading.Event().wait(0.02)
        return found

    def _more(self) -> list[str]:
        now = Belongings.now()
        commands = {pid: _command(pid) for pid in now.children - self.children}
        processes = [f"process {pid}: {said[:200]}" for pid, said in commands.items() if said and not _is_kept(said)]
        new = _sockets() if now.sockets - self.sockets else {}
        ports = [f"a socket that listens: {where}" for name, fd in new.items() if name not in self.sockets
                 if (where := _listens(fd))]  # fmt: skip
        return [*processes, *ports]


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """For each test of a folder whose conftest imports it: begins before and ends after all that is that test's own."""
    before = Belongings.now()
    yield
    left = before.left()
    assert left == [], "the test leaves behind what outlives it"


def _children() -> list[int]:
    found: list[int] = []
    for task in (SELF / "task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            found += map(int, (task / "children").read_text().split())
    return found


def _command(pid: int) -> str:
    """Its command line; nothing for one that has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    return ""


def _is_kept(command: str) -> bool:
    return any(name in command for name in KEPT)


def _sockets() -> dict[str, int]:
    """Open sockets and their file descriptors."""
    found = {}
    for name in os.listdir(SELF / "fd"):  # noqa: PTH208 - many a time, and a Path for each costs
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
            if target.startswith("socket:"):
                found[target] = int(name)
    return found


def _listens(fd: int) -> str:
    """Where, if it does."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as one:
        if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return str(one.getsockname())
    return ""
