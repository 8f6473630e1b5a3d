"""A client that hangs up cancels its backend at once, however far its answer has come."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.gateway.fault_scripts import BODY, HEAD
from tests.gateway.leaks import held, settled
from tests.gateway.raw_client import asked
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, Script, ScriptedBackend, delta, obedient, sse
from tests.patience import PATIENCE_S

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "hi"}]}


async def no_headers(connection: Connection) -> None:
    """Nothing yet."""


async def no_body(connection: Connection) -> None:
    await connection.send(HEAD + b"content-length: %d\r\n\r\n" % len(BODY))


async def half_a_body(connection: Connection) -> None:
    await connection.send(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY[:50])


async def no_event(connection: Connection) -> None:
    await connection.begin_stream()


async def half_an_event(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.chunk(sse(delta(content="fo"))[:-9])


async def an_event(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(delta(content="fo"))


async def more_than_is_read(connection: Connection) -> None:
    """The client takes nothing of it, so the gateway is stuck in sending."""
    await connection.begin_stream()
    for _ in range(200):
        await connection.event(delta(content="x" * 100_000))


# How far the answer has come, and whether it is a stream.
PHASES: dict[str, tuple[Script, bool]] = {
    "plain, before the headers": (no_headers, False),
    "plain, before the body": (no_body, False),
    "plain, inside the body": (half_a_body, False),
    "streamed, before the headers": (no_headers, True),
    "streamed, before an event": (no_event, True),
    "streamed, inside an event": (half_an_event, True),
    "streamed, after an event": (an_event, True),
    "streamed, while it is not read": (more_than_is_read, True),
}


class Phase:
    """Plays a script, then waits to be hung up on."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.reached, self.over = threading.Semaphore(0), threading.Semaphore(0)

    async def __call__(self, connection: Connection) -> None:
        if self._script is more_than_is_read:
            self.reached.release()
        try:
            await self._script(connection)
            self.reached.release()
            await connection.hung_up()
        finally:
            self.over.release()


@pytest.mark.parametrize(("script", "stream"), PHASES.values(), ids=PHASES.keys())
def test_the_backend_is_let_go(
    served_gateway: RunningGateway, backend: ScriptedBackend, script: Script, stream: bool
) -> None:
    before = held(served_gateway)
    backend.script = phase = Phase(script)
    with asked(served_gateway.url, {**ASK, "stream": stream}) as client:
        assert phase.reached.acquire(timeout=PATIENCE_S)
        if script is an_event:
            assert b"fo" in client.recv(65536)
    assert phase.over.acquire(timeout=PATIENCE_S), "the backend was not told"
    assert settled(served_gateway, before) == before
    backend.script = obedient
    assert served_gateway.post(ASK).status_code == 200
    first, second = served_gateway.records()
    assert (first["client_gone"], first["status"], first["deployment"]) == (1, 499, "hybrid")
    assert (second["client_gone"], second["status"]) == (0, 200)
