"""Replacing gateways under load: not one request fails, whichever way the new one comes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from gateway.config.settings import load as settings_of
from gateway.config.settings import override
from gateway.serving.handover import refuse_new_connections
from tests import plain_http
from tests.gateway.processes import Process, workers
from tests.gateway.scripted import MODEL, Connection, ScriptedBackend, delta, obedient
from tests.patience import PATIENCE_S, until

ASK: dict[str, Any] = {"model": "pub", "messages": [{"role": "user", "content": "hi"}]}


# Of a client between two requests: the next gateway needs the processor as well.
PAUSE_S, SHORT_PAUSE_S = 0.1, 0.03
TIMES = pytest.mark.parametrize(
    ("times", "pause_s"), [(1, PAUSE_S), pytest.param(2, SHORT_PAUSE_S, marks=pytest.mark.long)], ids=["once", "twice"]
)


def write_config(path: Path, url: str, name: str = "pub", **server: Any) -> Path:
    knobs = "".join(f"server.{key} = {value}\n" for key, value in server.items())
    path.write_text(
        f'{knobs}deployments.dep = {{ url = "{url}", model = "{MODEL}", family = "qwen3", verify = false }}\n'
        f'models.{name} = {{ deployment = "dep", policy = {{ kind = "client", default_effort = "low" }} }}\n',
        "utf-8",
    )
    return path


class Load:
    """Clients that ask again and again, and never try once more: half over kept connections, half over new ones."""

    def __init__(self, url: str, pause_s: float) -> None:
        self._url, self._pause_s = f"{url}/v1/chat/completions", pause_s
        self.answered = 0
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(8)))

    async def _client(self, number: int) -> None:
        connector = aiohttp.TCPConnector(force_close=number % 2 == 0)
        async with aiohttp.ClientSession(connector=connector) as session:
            while not self._stop.is_set():
                stream = number % 4 > 1
                try:
                    async with session.post(self._url, json={**ASK, "stream": stream}) as answer:
                        text = await answer.text()
                        whole = answer.status == 200 and (text.endswith("data: [DONE]\n\n") if stream else True)
                        if not whole:
                            self.failed.append(f"{answer.status} {text[-200:]}")
                except aiohttp.ClientError as error:
                    self.failed.append(repr(error))
                self.answered += 1
                await asyncio.sleep(self._pause_s)

    def more(self, requests: int = 50) -> None:
        """Returns when so many more were answered."""
        goal = self.answered + requests
        until(lambda: self.answered >= goal)


@contextmanager
def load(url: str, pause_s: float) -> Iterator[Load]:
    running = Load(url, pause_s)
    running._thread.start()
    try:
        yield running
    finally:
        running._stop.set()
        running._thread.join()


@TIMES
def test_workers_are_replaced_under_load(backend: ScriptedBackend, tmp_path: Path, times: int, pause_s: float) -> None:
    config = write_config(tmp_path / "thinkgate.toml", backend.url)
    with Process("--config", config, "--port", "0", "--workers", "2", cwd=tmp_path) as gateway:
        url = gateway.url()
        with load(url, pause_s) as clients:
            clients.more()
            for _ in range(times):
                old = workers(gateway.popen.pid)
                assert len(old) == 2
                gateway.popen.send_signal(signal.SIGHUP)
                until(lambda old=old: len(now := workers(gateway.popen.pid)) == 2 and not now & old)
                clients.more()
        assert clients.failed == []
        assert gateway.stop() == 0 and gateway.errors() == ""


def test_a_new_configuration_is_served_and_a_wrong_one_changes_nothing(
    backend: ScriptedBackend, tmp_path: Path
) -> None:
    config = write_config(tmp_path / "thinkgate.toml", backend.url)
    with Process("--config", config, "--port", "0", "--workers", "2", cwd=tmp_path) as gateway:
        url = gateway.url()

        def models() -> set[str]:
            return {model["id"] for _ in range(4) for model in plain_http.get(f"{url}/v1/models").json()["data"]}

        write_config(config, backend.url, "pub", keepalive_ss=1)
        gateway.popen.send_signal(signal.SIGHUP)
        until(lambda: "the old configuration stays" in gateway.errors())
        assert "server.keepalive_ss: unknown key. Did you mean 'keepalive_s'?" in gateway.errors()
        assert models() == {"pub"}
        # A fault that only a worker can find: no segment of the records can be made there.
        write_config(config, backend.url)
        (tmp_path / "secret").write_text("a secret of more than sixteen letters", "utf-8")
        (tmp_path / "odd.db.spool").symlink_to("/proc")
        elsewhere = f'records.path = "odd.db"\nsigning.key_file = "{tmp_path}/secret"\n'
        config.write_text(f"{elsewhere}responses.store = false\n{config.read_text('utf-8')}", "utf-8")
        gateway.popen.send_signal(signal.SIGHUP)
        until(lambda: "no worker can start with the new configuration: the old one stays" in gateway.errors())
        assert models() == {"pub"}
        write_config(config, backend.url, "changed")
        gateway.popen.send_signal(signal.SIGHUP)
        until(lambda: models() == {"changed"})
        version = override(settings_of(config), port=0).version
        assert f"configuration {version}: workers are replaced one by one" in gateway.errors()
        assert gateway.stop() == 0


def test_a_killed_worker_is_replaced_and_the_port_stays_open(backend: ScriptedBackend, tmp_path: Path) -> None:
    config = write_config(tmp_path / "thinkgate.toml", backend.url)
    with Process("--config", config, "--port", "0", "--workers", "2", cwd=tmp_path) as gateway:
        url = gateway.url()
        (first, second) = workers(gateway.popen.pid)
        os.kill(first, signal.SIGKILL)
        until(lambda: first not in workers(gateway.popen.pid))
        assert plain_http.get(f"{url}/health").status_code == 200
        until(lambda: len(workers(gateway.popen.pid)) == 2)
        assert second in workers(gateway.popen.pid)
        assert plain_http.post(f"{url}/v1/chat/completions", json=ASK).status_code == 200
        assert gateway.stop() == 0


@TIMES
def test_a_single_gateway_hands_its_port_to_the_next_under_load(
    backend: ScriptedBackend, tmp_path: Path, times: int, pause_s: float
) -> None:
    config = write_config(tmp_path / "thinkgate.toml", backend.url, reuse_port="true")
    gateways = [Process("--config", config, "--port", "0", cwd=tmp_path)]
    try:
        url = gateways[0].url()
        with load(url, pause_s) as clients:
            clients.more()
            for _ in range(times):
                gateways.append(Process("--config", config, "--port", url.rsplit(":", 1)[1], cwd=tmp_path))
                gateways[-1].url()
                assert gateways[-2].stop() == 0
                clients.more()
        assert clients.failed == []
    finally:
        for gateway in gateways:
            gateway.__exit__()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port is not shared in this way")
def test_what_connects_while_a_listener_is_about_to_close_gets_the_other_one() -> None:
    with ExitStack() as opened:
        listeners = []
        port = 0
        for _ in range(2):
            listener = opened.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(64)
            listener.setblocking(False)
            port = listener.getsockname()[1]
            listeners.append(listener)
        closing_soon, other = listeners
        refuse_new_connections(closing_soon)
        clients = [opened.enter_context(socket.socket()) for _ in range(32)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        # Of so many, some are meant for the first one.
        with pytest.raises(BlockingIOError):
            closing_soon.accept()
        closing_soon.close()
        accepted: list[socket.socket] = []

        def all_are_accepted() -> bool:
            with suppress(BlockingIOError):
                accepted.append(opened.enter_context(other.accept()[0]))
            return len(accepted) == len(clients)

        until(all_are_accepted)
        assert all(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 for client in clients)


def test_a_port_is_shared_only_if_both_say_so(backend: ScriptedBackend, tmp_path: Path) -> None:
    config = write_config(tmp_path / "thinkgate.toml", backend.url)
    with Process("--config", config, "--port", "0", cwd=tmp_path) as gateway:
        port = gateway.url().rsplit(":", 1)[1]
        config = write_config(tmp_path / "other.toml", backend.url, reuse_port="true")
        with Process("--config", config, "--port", port, cwd=tmp_path) as other:
            assert other.popen.wait(PATIENCE_S) == 1
            assert "is in use" in other.errors()


def test_what_runs_is_finished_and_ready_says_so_at_once(backend: ScriptedBackend, tmp_path: Path) -> None:
    going, finish = threading.Event(), threading.Event()

    async def slow(connection: Connection) -> None:
        if not connection.request.body.get("stream"):
            await obedient(connection)
            return
        await connection.begin_stream()
        await connection.event(delta(content="a"))
        going.set()
        await asyncio.to_thread(finish.wait)
        await connection.event(delta("stop"))
        await connection.event("[DONE]")
        await connection.end_stream()

    backend.script = slow
    config = write_config(tmp_path / "thinkgate.toml", backend.url)
    with Process("--config", config, "--port", "0", cwd=tmp_path) as gateway:
        url = gateway.url()
        with plain_http.client(base_url=url) as idle, plain_http.client(base_url=url) as client:
            assert idle.get("/ready").status_code == 200
            with client.stream("POST", "/v1/chat/completions", json={**ASK, "stream": True}) as answer:
                assert going.wait(PATIENCE_S)
                gateway.popen.send_signal(signal.SIGTERM)
                until(lambda: not accepts(url))
                # The connection was idle when the signal came: one more request is answered, the last.
                told = idle.get("/ready")
                assert (told.status_code, told.json()["status"]) == (503, "stopping")
                assert told.headers["connection"] == "close"
                finish.set()
                assert answer.read().endswith(b"data: [DONE]\n\n")
        assert gateway.popen.wait(PATIENCE_S) == 0


def test_a_reader_too_slow_for_the_drain_is_cut_off_and_recorded(backend: ScriptedBackend, tmp_path: Path) -> None:
    async def flood(connection: Connection) -> None:
        await connection.begin_stream()
        while True:
            await connection.event(delta(content="x" * 65_536))

    backend.script = flood
    config = write_config(tmp_path / "thinkgate.toml", backend.url, drain_s=0.3)
    with Process("--config", config, "--port", "0", cwd=tmp_path) as gateway:
        with (
            plain_http.client(base_url=gateway.url()) as client,
            client.stream("POST", "/v1/chat/completions", json={**ASK, "stream": True}) as answer,
        ):
            assert answer.status_code == 200
            assert gateway.stop() == 0
        assert "Traceback" not in gateway.errors()
    with closing(sqlite3.connect(tmp_path / "thinkgate.db")) as database:
        assert database.execute("SELECT status, error_code FROM records").fetchall() == [(503, "shutting_down")]


def accepts(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_single_gateway_ends_in_good_order_with_its_terminal(backend: ScriptedBackend, tmp_path: Path) -> None:
    config = write_config(tmp_path / "thinkgate.toml", backend.url)
    ours, theirs = os.openpty()
    in_terminal = (
        f"import os; os.setsid(); os.open({os.ttyname(theirs)!r}, os.O_RDWR); from gateway.cli import main; main()"
    )
    with Process("--config", config, "--port", "0", cwd=tmp_path, program=("-c", in_terminal)) as gateway:
        gateway.url()
        os.close(theirs)
        os.close(ours)
        assert gateway.popen.wait(PATIENCE_S) == 0 and gateway.errors() == ""


def test_what_takes_longer_than_the_drain_ends_in_an_error(backend: ScriptedBackend, tmp_path: Path) -> None:
    going = {False: threading.Event(), True: threading.Event()}

    async def silent(connection: Connection) -> None:
        stream = connection.request.body["stream"]
        if stream:
            await connection.begin_stream()
            await connection.event(delta(content="a"))
        going[stream].set()
        await connection.hung_up()

    backend.script = silent
    config = write_config(tmp_path / "thinkgate.toml", backend.url, drain_s=0.3)
    with Process("--config", config, "--port", "0", cwd=tmp_path) as gateway:
        url = gateway.url()

        def ask(stream: bool) -> httpx.Response:
            return plain_http.post(f"{url}/v1/chat/completions", json={**ASK, "stream": stream})

        with ThreadPoolExecutor(2) as pool:
            told = {stream: pool.submit(ask, stream) for stream in going}
            for each in going.values():
                assert each.wait(PATIENCE_S)
            assert gateway.stop() == 0
    for stream, answer in told.items():
        assert answer.result().status_code == (200 if stream else 503)
        assert '"code":"shutting_down"' in answer.result().text and "[DONE]" not in answer.result().text
