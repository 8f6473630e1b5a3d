"""Processes that die, stop or find the disk full, with requests on their way."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import plain_http
from tests.gateway.processes import Process, recorded, workers
from tests.patience import PATIENCE_S, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds workers in /proc, and sets limits of a process")
ASK: dict[str, Any] = {"model": "pub", "messages": [{"role": "user", "content": "hi"}]}
CLIENTS = 8
# Of a client between two requests: the next worker needs the processor as well.
PAUSE_S = 0.1


class Load:
    """Clients that ask again and again, plain and streamed in turn, until told to stop or nobody listens any more."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stop = threading.Event()
        self.whole: list[str] = []
        self.broken: list[str] = []
        self.wrong: list[str] = []

    def __enter__(self) -> Load:
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._clients = [self._pool.submit(self._run, number) for number in range(CLIENTS)]
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.join()
        self._pool.shutdown()

    def join(self) -> None:
        for client in self._clients:
            client.result(PATIENCE_S)

    def _run(self, client: int) -> None:
        with plain_http.client(base_url=self.url) as http:
            for number in range(100_000):
                if self.stop.wait(PAUSE_S):
                    return
                name = f"{client}-{number}"
                stream = number % 2 == 1
                try:
                    answer = http.post(
                        "/v1/chat/completions", json={**ASK, "stream": stream}, headers={"x-request-id": name}
                    )
                except httpx.ConnectError:
                    return
                except httpx.TransportError:
                    self.broken.append(name)
                    continue
                is_whole = answer.text.endswith("data: [DONE]\n\n" if stream else "}")
                (self.whole if answer.status_code == 200 and is_whole else self.wrong).append(name)


def test_a_worker_that_is_killed_takes_only_its_own_requests_along(config: Path) -> None:
    with Process("--config", config, "--port", "0", "--workers", "2", cwd=config.parent) as gateway:
        with Load(gateway.url()) as load:
            until(lambda: len(load.whole) > 50)
            first, second = workers(gateway.popen.pid)
            os.kill(first, signal.SIGKILL)
            until(lambda: len(workers(gateway.popen.pid)) == 2 and first not in workers(gateway.popen.pid))
            assert second in workers(gateway.popen.pid)
            so_far = len(load.whole)
            until(lambda: len(load.whole) > so_far + 50)
        assert gateway.stop() == 0, gateway.errors()
    with Process("--config", config, "--port", "0", cwd=config.parent) as gateway:
        gateway.url()  # where the new worker had no time left, the next start imports what the dead one wrote
        assert gateway.stop() == 0
    assert load.wrong == [] and len(load.broken) <= CLIENTS
    rows = recorded(config)
    assert len(rows) == len(set(rows)) and set(load.whole) <= set(rows) <= {*load.whole, *load.broken}


@pytest.mark.parametrize("workers", [1, 2])
def test_one_that_is_told_to_stop_finishes_what_it_has_begun(config: Path, workers: int) -> None:
    arguments = ("--config", config, "--port", "0", "--workers", str(workers))
    with Process(*arguments, cwd=config.parent) as gateway:
        with Load(gateway.url()) as load:
            until(lambda: len(load.whole) > 50)
            assert gateway.stop() == 0, gateway.errors()
            load.join()
        assert gateway.errors() == ""
    assert load.wrong == []
    # A connection that is closed between two answers is seen by whoever was about to ask: nothing of it was begun.
    assert sorted(recorded(config)) == sorted(load.whole)


def test_a_full_disk_loses_records_loudly_and_no_request(config: Path) -> None:
    """The limit on a file's size stands for the disk: what goes beyond it is refused, and a line may be torn."""
    with Process("--config", config, "--port", "0", cwd=config.parent) as gateway:
        url, pid = gateway.url(), gateway.popen.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        with plain_http.client(base_url=url) as http:

            def ask(name: str) -> None:
                http.post("/v1/chat/completions", json=ASK, headers={"x-request-id": name}).raise_for_status()

            def lost() -> int:
                lines = http.get("/metrics").text.splitlines()
                return int(float(next(line for line in lines if line.startswith("thinkgate_records_lost")).split()[1]))

            ask("before")
            until(lambda: recorded(config) == ["before"])
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, hard))
            for number in range(40):
                ask(f"full-{number}")
            assert 0 < lost() <= 40
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
            ask("after")
            gone = lost()
        assert gateway.stop() == 0
        assert "a record is lost" in gateway.errors()
    with Process("--config", config, "--port", "0", cwd=config.parent) as gateway:
        gateway.url()
        until(lambda: len(recorded(config)) == 42 - gone)
        assert gateway.stop() == 0
    assert {"before", "after"} <= set(recorded(config))
