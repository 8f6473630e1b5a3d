"""`thinkgate serve` as operators run it: signals, ports, workers, sudden death, and no configuration at all."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests import plain_http
from tests.gateway.processes import Process, recorded
from tests.patience import PATIENCE_S, until

ASK: dict[str, Any] = {"model": "pub", "messages": [{"role": "user", "content": "hi"}]}


def test_sigterm_finishes_running_requests_and_records_them(config: Path) -> None:
    with Process("--config", config, "--port", "0", cwd=config.parent) as gateway:
        with openai.OpenAI(base_url=f"{gateway.url()}/v1", api_key="none") as client:
            client.chat.completions.create(**ASK, extra_headers={"x-request-id": "one"})
        assert gateway.stop() == 0
        assert gateway.errors() == ""
    assert recorded(config) == ["one"]


def test_a_port_in_use_is_said_in_one_line(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments in (["--config", config], []):
            with Process(*arguments, "--port", str(port), cwd=config.parent) as gateway:
                assert gateway.popen.wait(PATIENCE_S) == 1
                said = f"thinkgate: port {port} on 127.0.0.1 is in use: choose another with --port\n"
                assert gateway.errors() == said


def _load(url: str, stop: threading.Event) -> Iterator[str]:
    """Request ids of answers that came back whole, until the gateway is gone."""
    with plain_http.client(base_url=url) as client:
        for number in range(10_000):
            name = f"{threading.get_ident()}-{number}"
            body = {**ASK, "stream": number % 2 == 1}
            try:
                answer = client.post("/v1/chat/completions", json=body, headers={"x-request-id": name})
            except httpx.HTTPError:
                return
            assert answer.status_code == 200
            yield name
            if number == 20:
                stop.set()


def test_kill_9_under_load_loses_no_finished_record(config: Path) -> None:
    arguments = ("--config", config, "--port", "0")
    stop = threading.Event()
    with Process(*arguments, cwd=config.parent) as gateway, ThreadPoolExecutor(8) as pool:
        url = gateway.url()
        finished = [pool.submit(lambda: list(_load(url, stop))) for _ in range(8)]
        assert stop.wait(PATIENCE_S)
        gateway.stop(signal.SIGKILL)
        names = {name for future in finished for name in future.result()}
    assert len(names) > 20
    with Process(*arguments, cwd=config.parent) as gateway:
        plain_http.post(f"{gateway.url()}/v1/chat/completions", json=ASK).raise_for_status()
        assert gateway.stop() == 0
    rows = recorded(config)
    assert len(rows) == len(set(rows)) and names <= set(rows)
    # Besides the answers that came back: those that were finished but on their way, at most one for each client.
    assert len(rows) <= len(names) + 8 + 1


def test_workers_share_the_port_and_each_request_has_one_record(config: Path) -> None:
    with Process("--config", config, "--port", "0", "--workers", "2", cwd=config.parent) as gateway:
        url = gateway.url()
        for number in range(30):
            answer = plain_http.post(f"{url}/v1/chat/completions", json=ASK, headers={"x-request-id": str(number)})
            assert answer.status_code == 200
        # Whichever worker answers, it tells the metrics of both; the other one's are counted a moment later.
        until(lambda: _counted(url) == 30)
        for _ in range(6):
            assert _counted(url) == 30
        assert "thinkgate_in_flight 0.0" in plain_http.get(f"{url}/metrics").text.splitlines()
        assert gateway.stop() == 0, gateway.errors()
    assert sorted(map(int, recorded(config))) == list(range(30))


def _counted(url: str) -> float:
    lines = plain_http.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("thinkgate_requests_total{"))


def _alive(url: str) -> bool:
    try:
        return plain_http.get(f"{url}/health").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_without_a_configuration_the_embedded_models_are_served(tmp_path: Path, number: int) -> None:
    with Process("--port", "0", cwd=tmp_path) as gateway:
        url = gateway.url()
        assert plain_http.get(f"{url}/ready").json()["status"] == "ready"
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
            assert [model.id for model in client.models.list()] == ["tiny", "tiny-split"]
            for model in ("tiny", "tiny-split"):
                raw = client.chat.completions.with_raw_response.create(
                    model=model, messages=[{"role": "user", "content": "What is 17 + 25?"}], max_tokens=400
                )
                assert raw.headers["x-thinkgate-reason"] in ("router", "probe")
                assert raw.parse().choices[0].message.content
        engine = _engine_url(gateway.popen.pid)
        assert _alive(engine)
        gateway.stop(number)
    until(lambda: not _alive(engine))


def _engine_url(parent: int) -> str:
    """Where the embedded engine of a gateway listens: its only child's only listening socket."""
    (child,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    inodes = set()
    for path in Path(f"/proc/{child}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed just now
            inodes.add(path.readlink().name)
    rows = [line.split() for line in Path(f"/proc/{child}/net/tcp").read_text().splitlines()[1:]]
    (port,) = {int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}
    return f"http://127.0.0.1:{port}"
