"""Router artifacts replaced under load: a bad one is refused, the last good one stays, and no request notices."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import plain_http
from tests.gateway import artifacts
from tests.gateway.processes import Process, workers
from tests.gateway.scripted import MODEL, ScriptedBackend
from tests.patience import until

KEY = "an operators' key of some length"
CONFIG = """
admin = {{ port = 0, key_file = "key" }}
deployments.dep = {{ url = "{url}", model = "{model}", family = "qwen3", verify = false, router_name = "tiny" }}
models.pub = {{ deployment = "dep", router = "artifact", policy = {{ kind = "dial", budgets = [16, 64] }} }}
models.other = {{ deployment = "dep" }}
"""
ASK = {"model": "pub", "messages": [{"role": "user", "content": "What is 17 + 25?"}]}
# How every line of a log begins.
TIMED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [\w.]+: ")
# Of a client between two requests: what is tested needs the processor as well.
PAUSE_S, SHORT_PAUSE_S = 0.1, 0.02
BAD = (artifacts.corrupt, artifacts.truncated, artifacts.of_the_future, artifacts.gone)


class Clients:
    """They ask again and again; `versions` are those of the answers, in order, None for one that failed."""

    def __init__(self, url: str, pause_s: float) -> None:
        self._url, self._pause_s = f"{url}/v1/chat/completions", pause_s
        self.versions: list[str | None] = []
        self.stop = threading.Event()

    def run(self) -> None:
        with plain_http.client() as client:
            while not self.stop.is_set():
                answer = client.post(self._url, json=ASK)
                good = answer.status_code == 200
                self.versions.append(answer.headers.get("x-thinkgate-router") if good else None)
                self.stop.wait(self._pause_s)

    def more(self, requests: int = 30) -> set[str | None]:
        """The versions of so many more answers, without those that may have been under way before."""
        begun = len(self.versions)
        until(lambda: len(self.versions) >= begun + requests)
        return set(self.versions[begun + 4 :])


@contextmanager
def asking(url: str, pause_s: float) -> Iterator[Clients]:
    clients = Clients(url, pause_s)
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(clients.run) for _ in range(4)]
        try:
            yield clients
        finally:
            clients.stop.set()
    for each in running:
        each.result()


@pytest.mark.parametrize(
    ("processes", "bads", "pause_s"),
    [(1, BAD, PAUSE_S), (2, BAD[:1], PAUSE_S), pytest.param(2, BAD, SHORT_PAUSE_S, marks=pytest.mark.long)],
    ids=[1, 2, "2 all"],
)
def test_good_bad_and_good_again_under_load(
    processes: int, bads: Sequence[Callable[[Path], str]], pause_s: float, backend: ScriptedBackend, tmp_path: Path
) -> None:
    folder = tmp_path / "artifact"
    (tmp_path / "key").write_text(KEY, "utf-8")
    config = tmp_path / "thinkgate.toml"
    config.write_text(CONFIG.format(url=backend.url, model=MODEL), "utf-8")
    first = artifacts.good(folder, 1)
    with Process("--config", config, "--port", "0", "--workers", str(processes), cwd=tmp_path) as gateway:
        url = gateway.url()
        operator = plain_http.client(base_url=gateway.operators, headers={"authorization": f"Bearer {KEY}"})
        with operator, asking(url, pause_s) as clients:
            assert clients.more() == {first}
            old = workers(gateway.popen.pid)
            second = artifacts.good(folder, 2)
            answer = operator.post("/routers/reload")
            assert (answer.status_code, answer.json()["models"]) == (200, {"pub": second, "other": "none"})
            # One process has no workers; of several, each is replaced.
            until(lambda: not workers(gateway.popen.pid) & old and clients.more() == {second})
            for bad in bads:
                said = bad(folder)
                answer = operator.post("/routers/reload")
                assert answer.status_code == 409 and answer.json()["error"]["code"] == "reload_refused"
                assert said in answer.json()["error"]["message"]
                before = gateway.errors().count("\n")
                gateway.popen.send_signal(signal.SIGHUP)
                until(lambda before=before: "stay" in "".join(gateway.errors().splitlines(True)[before:]))
                assert said in gateway.errors()
                assert [line for line in gateway.errors().splitlines() if not TIMED.match(line)] == []
                assert clients.more() == {second}
                if bad is not artifacts.gone:
                    artifacts.good(folder, 2)
        if processes > 1:
            # One that has to start while a bad artifact lies there has the good one, too.
            lost = min(workers(gateway.popen.pid))
            os.kill(lost, signal.SIGKILL)
            until(lambda: len(now := workers(gateway.popen.pid)) == processes and lost not in now)
        with asking(url, pause_s) as later:
            assert later.more() == {second}
            old = workers(gateway.popen.pid)
            third = artifacts.good(folder, 3)
            gateway.popen.send_signal(signal.SIGHUP)
            until(lambda: not workers(gateway.popen.pid) & old and later.more() == {third})
        told = plain_http.get(f"{url}/metrics").text
        assert f'thinkgate_router_serving{{model="pub",router="{third}"}} {processes}.0' in told
        assert 'thinkgate_router_reloads_total{outcome="loaded"} 2.0' in told
        refused = 2 * len(bads) if processes == 1 else len(bads)
        assert f'thinkgate_router_reloads_total{{outcome="refused"}} {refused}.0' in told
        assert None not in [*clients.versions, *later.versions]
        assert gateway.stop() == 0
    assert not [path for path in tmp_path.iterdir() if "routers-" in path.name]
