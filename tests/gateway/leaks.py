"""What a gateway holds: to be the same before and after, whatever happened in between."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import aiohttp

from gateway.answers.chat_stream import ChatStream
from gateway.exchange import Exchange
from gateway.types import Call, Plan
from gateway.upstream import Reply
from tests.gateway.running import RunningGateway

# One of each is made for every request, and none may outlive it.
OF_A_REQUEST = (Exchange, Call, Plan, Reply, ChatStream, aiohttp.ClientResponse)
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Held:
    """Of one gateway: tasks, connections to backends in use, objects of requests, and open sockets.

    Sockets leave out the idle connections to backends, which are two each where both ends are in this process.
    """

    tasks: int
    in_use: int
    objects: int
    sockets: int

    def within(self, other: Held) -> bool:
        return all(mine <= its for mine, its in zip(astuple(self), astuple(other), strict=True))


def held(gateway: RunningGateway) -> Held:
    return gateway.inside(lambda: _held(gateway))


def settled(gateway: RunningGateway, expected: Held) -> Held:
    """What is expected, once no more than that is held; what is, when waiting for that has been in vain.

    It may be less: a socket of an earlier test may have been there, and have gone since.
    """
    with contextlib.suppress(AssertionError):
        until(lambda: held(gateway).within(expected))
    now = held(gateway)
    return expected if now.within(expected) else now


def spoilt(gateway: RunningGateway) -> bool:
    """Whether no idle connection to a backend may be used again."""
    connector = gateway.parts.upstream._session.connector  # type: ignore[union-attr]
    return all(protocol.should_close for idle in connector._conns.values() for protocol, _ in idle)  # type: ignore[union-attr]


def until(condition: Callable[[], bool]) -> None:
    """Wait for what others do in their own time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.02)


def _held(gateway: RunningGateway) -> Held:
    connector = gateway.parts.upstream._session.connector  # type: ignore[union-attr]
    idle = sum(map(len, connector._conns.values()))  # type: ignore[union-attr]
    gc.collect()
    sockets = len(list(_sockets())) if sys.platform == "linux" else 0
    return Held(
        tasks=len(asyncio.all_tasks()),
        in_use=len(connector._acquired),  # type: ignore[union-attr]
        objects=sum(isinstance(found, OF_A_REQUEST) for found in gc.get_objects()),
        sockets=sockets - 2 * idle,
    )


def _sockets() -> Iterator[str]:
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            name = str(path.readlink())
            if name.startswith("socket:"):
                yield name
