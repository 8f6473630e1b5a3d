"""Clients that take their answers slowly, or not at all: memory stays bounded, and a backend is not held for ever."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import Start, table
from tests.gateway.processes import Process
from tests.gateway.raw_client import asked
from tests.gateway.scripted import MODEL, Connection, ScriptedBackend, delta, sse
from tests.patience import PATIENCE_S, until

MIB = 1024 * 1024
ASK: dict[str, Any] = {"model": "merged", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
EVENT = sse(delta(content="x" * 60_000))
SEVERAL = 20
EVENTS = 200 * MIB // len(EVENT)
LENGTH = EVENTS * len(EVENT)


class Flood:
    """200 MiB of stream, and how much of it the gateway took."""

    def __init__(self) -> None:
        self.taken = 0
        self.over = threading.Semaphore(0)

    async def __call__(self, connection: Connection) -> None:
        try:
            await connection.begin_stream()
            for _ in range(EVENTS):
                await connection.chunk(EVENT)
                self.taken += len(EVENT)
            await connection.event(delta("stop"))
            await connection.event("[DONE]")
            await connection.end_stream()
        finally:
            self.over.release()


def memory(pid: int, field: str) -> int:
    """Of a process, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's memory in /proc")
def test_a_client_that_does_not_read_costs_little_memory_and_is_cut_off(
    backend: ScriptedBackend, tmp_path: Path
) -> None:
    backend.script = flood = Flood()
    config = tmp_path / "thinkgate.toml"
    config.write_text(
        "server.write_timeout_s = 0.5\n"
        f'deployments.dep = {{ url = "{backend.url}", model = "{MODEL}", family = "qwen3", verify = false }}\n'
        'models.merged = { deployment = "dep" }\n',
        "utf-8",
    )
    with Process("--config", config, "--port", "0", cwd=tmp_path) as gateway:
        url = gateway.url()
        before = memory(gateway.popen.pid, "VmRSS")
        with asked(url, ASK):
            assert flood.over.acquire(timeout=PATIENCE_S), "the backend was held"
        assert flood.taken < LENGTH / 4, "what was taken lies in buffers"
        assert memory(gateway.popen.pid, "VmHWM") - before < LENGTH / 10
        with ExitStack() as stack:
            for _ in range(SEVERAL):
                stack.enter_context(asked(url, ASK))
            assert all(flood.over.acquire(timeout=PATIENCE_S) for _ in range(SEVERAL))
        assert memory(gateway.popen.pid, "VmHWM") - before < SEVERAL * LENGTH / 80
        assert gateway.stop() == 0
        assert gateway.errors() == ""


def test_one_that_is_cut_off_has_left_as_far_as_the_record_goes(backend: ScriptedBackend, serve: Start) -> None:
    backend.script = flood = Flood()
    gateway = serve({**table(backend.url), "server": {"write_timeout_s": 60}})
    with asked(gateway.url, ASK):
        until(lambda: flood.over.acquire(timeout=0.05) or gateway.turn(61))
    (row,) = gateway.records()
    assert (row["status"], row["client_gone"]) == (499, 1)


def test_a_slow_reader_gets_all_of_its_answer(backend: ScriptedBackend, serve: Start) -> None:
    backend.script = flood = Flood()
    gateway = serve(table(backend.url))
    with asked(gateway.url, ASK) as client:
        size, tail = 0, b""
        while not tail.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
            piece = client.recv(8192 if size < 4 * MIB else 8 * MIB)
            size, tail = size + len(piece), (tail + piece)[-64:]
    assert size > EVENTS * 60_000 and flood.taken == LENGTH
    (row,) = gateway.records()
    assert (row["status"], row["finish_reason"]) == (200, "stop")


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_end_is_given_up(backend: ScriptedBackend, start: Start, stream: bool) -> None:
    over = threading.Semaphore(0)
    taken = 0

    async def endless(connection: Connection) -> None:
        nonlocal taken
        try:
            await connection.begin_stream()
            while True:
                await connection.chunk(b"x" * 65_536)
                taken += 65_536
        finally:
            over.release()

    settings: dict[str, Any] = table(backend.url)
    settings["deployments"]["hybrid"] |= {"max_answer_bytes": MIB, "max_event_bytes": MIB}
    backend.script = endless
    gateway = start(settings)
    answer = gateway.post({**ASK, "stream": stream})
    assert answer.status_code == 502 and "too large" in answer.json()["error"]["message"]
    assert over.acquire(timeout=PATIENCE_S) and taken < 64 * MIB
