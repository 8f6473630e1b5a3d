"""Resources that a gateway holds, which must be the same before and after a test."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from yarl import URL

from gateway.backends.http_reply import HttpReply
from gateway.core.call import Call
from gateway.core.plan import Plan
from gateway.execution.recorder import Recorder
from gateway.execution.streaming.chat_stream import ChatStream
from tests.gateway.running import RunningGateway
from tests.patience import until

# Objects of these types are created for every request, and must not outlive it.
OF_A_REQUEST = (Recorder, Call, Plan, HttpReply, ChatStream, aiohttp.ClientResponse)


@dataclass(frozen=True)
class Held:
    """Of one gateway: tasks, connections to backends in use, objects of requests, and open sockets.

    Objects are those of its deployments, its places and its loop, sockets those of its clients and backends: others in
    this process belong to other tests, and come and go when they like. Idle connections to backends are left out, which
    are two each where both ends are in this process. `ends` names the sockets, for who wonders.
    """

    tasks: int
    in_use: int
    objects: int
    sockets: int
    ends: tuple[str, ...] = field(compare=False)

    def within(self, other: Held) -> bool:
        mine, its = ((held.tasks, held.in_use, held.objects, held.sockets) for held in (self, other))
        return all(a <= b for a, b in zip(mine, its, strict=True))


def held(gateway: RunningGateway) -> Held:
    ports = {URL(gateway.url).explicit_port}  # none, if its clients have no sockets
    for deployment in gateway.parts.settings.deployments.values():
        ports |= {URL(str(url)).port for url in deployment.url}
    return gateway.inside(lambda: _held(gateway, ports))


def settled(gateway: RunningGateway, expected: Held) -> Held:
    """Waits until no more than `expected` is held and returns that; returns what is held if that does not happen.

    It may be less: a socket of an earlier test may have been there, and have gone since.
    """
    now = expected

    def fits() -> bool:
        nonlocal now
        now = held(gateway)
        return now.within(expected)

    with contextlib.suppress(AssertionError):
        until(fits)
    return expected if now.within(expected) else now


def spoilt(gateway: RunningGateway) -> bool:
    """Whether no idle connection to a backend may be used again."""
    connector = gateway.parts.transport._session.connector  # type: ignore[union-attr]
    return all(protocol.should_close for idle in connector._conns.values() for protocol, _ in idle)  # type: ignore[union-attr]


def _held(gateway: RunningGateway, ports: Collection[int | None]) -> Held:
    connector = gateway.parts.transport._session.connector  # type: ignore[union-attr]
    idle = sum(map(len, connector._conns.values()))  # type: ignore[union-attr]
    gc.collect()
    ends = tuple(_sockets(ports)) if sys.platform == "linux" else ()
    return Held(
        tasks=len(asyncio.all_tasks()),
        in_use=len(connector._acquired),  # type: ignore[union-attr]
        objects=sum(_is_of(gateway, found) for found in _of_requests()),
        sockets=len(ends) - 2 * idle,
        ends=ends,
    )


def _of_requests() -> list[object]:
    """Not by `gc.get_objects()`: it lends out tuples that other threads are just making, which breaks them there."""
    kinds = [kind for one in OF_A_REQUEST for kind in (one, *one.__subclasses__())]
    return [found for found in gc.get_referrers(*kinds) if isinstance(found, OF_A_REQUEST)]


def _is_of(gateway: RunningGateway, found: object) -> bool:
    """Whether an object may belong to this gateway; calls and streams do not say."""
    match found:
        case Plan():
            return found.deployment in gateway.parts.deployments.values()
        case HttpReply():
            return found._deployment in gateway.parts.deployments.values()
        case Recorder():
            deployment = found.plan.deployment if found.plan is not None else None
            return deployment is None or deployment in gateway.parts.deployments.values()
        case aiohttp.ClientResponse():
            return found._loop is asyncio.get_running_loop()
    return True


def _sockets(ports: Collection[int | None]) -> Iterator[str]:
    """This process's sockets with an end at one of these ports."""
    connected = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            _, local, remote, state, *_, inode = line.split()[:10]
            connected[inode] = int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16), state
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found = re.fullmatch(r"socket:\[(\d+)\]", str(path.readlink()))
            if found:
                local, remote, state = connected.get(found[1], (-1, -1, ""))
                if local in ports or remote in ports:
                    yield f"{local} to {remote} in {state}"
