"""The application under servers that are not its own, and under none: the same requests are answered alike."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import create
from tests.gateway.processes import ROOT
from tests.gateway.scripted import ANSWER, Connection, ScriptedBackend, delta, obedient
from tests.gateway.stored import stored
from tests.patience import PATIENCE_S, until

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {"model": "pub", "messages": [{"role": "user", "content": "hi"}]}
MODULE = "from gateway.app import create\n\napp = create({!r})\n"
COMMANDS = {
    "hypercorn": ("-m", "hypercorn", "--bind", "unix:{}", "app:app"),
    "granian": ("-m", "granian", "--interface", "asgi", "--no-ws", "--uds", "{}", "app:app"),
}


def listens(path: Path) -> bool:
    """Whether anybody does at this Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@contextmanager
def serving(name: str, config: Path) -> Iterator[Path]:
    """The Unix socket of a server, which is a process; its output is in `output.txt` beside the configuration."""
    folder = config.parent
    (folder / "app.py").write_text(MODULE.format(str(config)), "utf-8")
    command = [sys.executable, *(part.format("server.sock") for part in COMMANDS[name])]
    with (
        (folder / "output.txt").open("w") as output,
        subprocess.Popen(command, cwd=folder, env={"PYTHONPATH": f"{ROOT}:."}, stdout=output, stderr=output) as process,
    ):
        try:
            until(lambda: listens(folder / "server.sock") or process.poll() is not None)
            yield folder / "server.sock"
            process.terminate()
            process.wait(PATIENCE_S)
        finally:
            process.kill()


@pytest.fixture
def configured(config: Path) -> Path:
    config.write_text(f'records.path = "{config.parent}/records.db"\n{config.read_text("utf-8")}', "utf-8")
    return config


@pytest.mark.parametrize("name", COMMANDS)
def test_other_servers(name: str, configured: Path, backend: ScriptedBackend) -> None:
    with serving(name, configured) as path:
        asyncio.run(asked(httpx.AsyncHTTPTransport(uds=str(path)), backend, closes=True))
    output = (configured.parent / "output.txt").read_text("utf-8")
    assert output.count("disconnects are noticed by watching receive()") == 1, output
    recorded(configured)


async def test_no_server_and_nobody_who_starts_it(configured: Path, backend: ScriptedBackend) -> None:
    """The first request starts it; the lifespan protocol, spoken later, ends it."""
    app = create(configured)
    await asked(httpx.ASGITransport(app), backend, closes=False)
    async with app.router.lifespan_context(app):
        """It has been started already."""
    recorded(configured)


def recorded(config: Path) -> None:
    rows = stored(config.parent / "records.db", "status, client_gone")
    assert rows == [(200, 0), (200, 0), (400, 0), (404, 0), (499, 1), (499, 1)]


async def asked(transport: httpx.AsyncBaseTransport, backend: ScriptedBackend, closes: bool) -> None:
    async with httpx.AsyncClient(transport=transport, base_url="http://x", timeout=PATIENCE_S) as http:
        await answers(http)
        for stream in (False, True):
            await hangs_up(http, backend, stream, closes)


async def answers(http: httpx.AsyncClient) -> None:
    plain = await http.post(CHAT, json=ASK)
    assert (plain.status_code, plain.json()["choices"]) == (200, ANSWER["choices"]), plain.text
    assert plain.headers["x-content-type-options"] == "nosniff" and plain.headers["x-thinkgate-effort"]
    streamed = await http.post(CHAT, json={**ASK, "stream": True})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert '"content":"four"' in streamed.text and streamed.text.endswith("data: [DONE]\n\n")
    refused = await http.post(CHAT, json={**ASK, "temperature": "hot"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "temperature")
    unknown = await http.post(CHAT, json={**ASK, "model": "nobody"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    assert (await http.get("/health")).json() == {"status": "ok"}
    assert (await http.get(CHAT)).status_code == 405


async def hangs_up(http: httpx.AsyncClient, backend: ScriptedBackend, stream: bool, closes: bool) -> None:
    """The backend is let go. Without a server a client leaves by cancelling; its streams come when they are over."""
    reached, over = threading.Event(), threading.Event()

    async def waits(connection: Connection) -> None:
        if stream:
            await connection.begin_stream()
            await connection.event(delta(content="fo"))
        reached.set()
        await connection.hung_up()
        over.set()

    backend.script = waits
    asked = {"json": {**ASK, "stream": stream}}
    if stream and closes:
        async with http.stream("POST", CHAT, **asked) as answer:
            assert "fo" in await anext(answer.aiter_text())
    else:
        leaving = asyncio.create_task(http.post(CHAT, **asked))
        assert await asyncio.to_thread(reached.wait, PATIENCE_S)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    assert await asyncio.to_thread(over.wait, PATIENCE_S), "the backend was not told"
    backend.script = obedient
