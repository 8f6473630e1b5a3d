"""What a gateway holds: to be the same before and after, whatever happened in between."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from gateway.chat_stream import ChatStream
from gateway.exchange import Exchange
from gateway.types import Call, Plan
from gateway.upstream import Reply
from tests.gateway.running import RunningGateway

# One of each is made for every request, and none may outlive it.
OF_A_REQUEST = (Exchange, Call, Plan, Reply, ChatStream, aiohttp.ClientResponse)
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Held:
    """Of one gateway: tasks, connections to backends in use, objects of requests, and open files.

    Files leave out the idle connections to backends, which are two each where both ends are in this process, and the
    database, which is opened now and then.
    """

    tasks: int
    in_use: int
    objects: int
    files: int


def held(gateway: RunningGateway) -> Held:
    return gateway.inside(lambda: _held(gateway))


def settled(gateway: RunningGateway, expected: Held) -> Held:
    """What is held when it is no more than expected, or when waiting for that has been in vain."""
    deadline = time.monotonic() + PATIENCE_S
    while (now := held(gateway)) != expected and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return now


def _held(gateway: RunningGateway) -> Held:
    connector = gateway.parts.upstream._session.connector  # type: ignore[union-attr]
    idle = sum(map(len, connector._conns.values()))  # type: ignore[union-attr]
    gc.collect()
    files = len(list(_open_files())) if sys.platform == "linux" else 0
    return Held(
        tasks=len(asyncio.all_tasks()),
        in_use=len(connector._acquired),  # type: ignore[union-attr]
        objects=sum(isinstance(found, OF_A_REQUEST) for found in gc.get_objects()),
        files=files - 2 * idle,
    )


def _open_files() -> Iterator[str]:
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            name = str(path.readlink())
            if not name.endswith((".db", ".db-wal", ".db-shm", ".db-journal")):
                yield name
