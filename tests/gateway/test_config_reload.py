"""The whole configuration read again while requests run: all of it is served anew, or nothing of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import make_parts
from gateway.config.settings import load
from gateway.core.errors import ConfigError
from gateway.serving.config_reload import ConfigReload
from gateway.serving.live_application import LiveApplication
from tests.gateway.scripted import MODEL, Connection, ScriptedBackend, obedient
from tests.gateway.stored import stored
from tests.patience import until

CONFIG = """
records.path = "records.db"
deployments.dep = {{ url = "{url}", model = "{model}", family = "qwen3", verify = false }}
models.pub = {{ deployment = "dep", policy = {{ kind = "fixed", effort = "{effort}" }} }}
{more}
"""
ASK = {"model": "pub", "messages": [{"role": "user", "content": "What is 17 + 25?"}]}


class Reloaded:
    """A gateway in this process whose configuration is written and read again."""

    def __init__(self, folder: Path, url: str, more: str = "") -> None:
        self._path, self._url = folder / "thinkgate.toml", url
        self.write("none", more)
        self.parts = make_parts(load(self._path))
        self.settled = 0
        self.live = LiveApplication(self.parts, self._settle)
        self._reload = ConfigReload(lambda: load(self._path), self.parts, self.live)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.live), base_url="http://gateway")

    def _settle(self) -> None:
        self.settled += 1

    def write(self, effort: str, more: str = "", model: str = MODEL) -> None:
        self._path.write_text(CONFIG.format(url=self._url, model=model, effort=effort, more=more), "utf-8")

    async def reload(self) -> dict[str, str]:
        return await asyncio.to_thread(self._reload.reload)

    async def answered(self, **fields: Any) -> httpx.Response:
        return await self.client.post("/v1/chat/completions", json={**ASK, **fields})

    async def metric(self, name: str) -> set[str]:
        text = (await self.client.get("/metrics")).text
        return {line for line in text.splitlines() if line.startswith(f"thinkgate_{name}")}


@asynccontextmanager
async def reloaded(folder: Path, url: str, more: str = "") -> AsyncIterator[Reloaded]:
    gateway = Reloaded(folder, url, more)
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    said: asyncio.Queue[Any] = asyncio.Queue()
    running = asyncio.create_task(gateway.live({"type": "lifespan"}, events.get, said.put))
    events.put_nowait({"type": "lifespan.startup"})
    assert (await said.get())["type"] == "lifespan.startup.complete"
    async with gateway.client:
        yield gateway
    events.put_nowait({"type": "lifespan.shutdown"})
    await running
    assert (await said.get())["type"] == "lifespan.shutdown.complete"


async def test_what_is_new_is_served_and_what_runs_ends_as_it_began(backend: ScriptedBackend, tmp_path: Path) -> None:
    go, arrived = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def waits(connection: Connection) -> None:
        if connection.request.body.get("stream"):
            loop.call_soon_threadsafe(arrived.set)
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(go.wait(), loop))
        await obedient(connection)

    backend.script = waits
    async with reloaded(tmp_path, backend.url) as gateway:
        first = gateway.parts.version
        assert (await gateway.answered()).headers["x-thinkgate-effort"] == "none"
        running = asyncio.create_task(gateway.answered(stream=True))
        await arrived.wait()
        # Its policy, a second model, and a deployment that is now another model of the same engine.
        gateway.write("high", 'models.more = { deployment = "dep" }', model="another")
        assert await gateway.reload() == {"pub": "none", "more": "none"}
        assert (await gateway.answered()).headers["x-thinkgate-effort"] == "high"
        assert backend.last["model"] == "another"
        assert (await gateway.answered(model="more")).status_code == 200
        listed = (await gateway.client.get("/v1/models")).json()["data"]
        assert {"pub", "more"} <= {one["id"] for one in listed}
        assert gateway.settled == 0, "a request of the first application still runs"
        go.set()
        answer = await running
        assert answer.status_code == 200 and answer.headers["x-thinkgate-effort"] == "none"
        assert "four" in answer.text
        # Nothing new, then back: a model that is gone is unknown, and its metric says that nothing serves it.
        assert await gateway.reload() == {"pub": "none", "more": "none"}
        gateway.write("none")
        assert await gateway.reload() == {"pub": "none"}
        assert (await gateway.answered(model="more")).json()["error"]["code"] == "model_not_found"
        assert f'thinkgate_configuration_serving{{version="{first}"}} 1.0' in await gateway.metric("configuration")
        assert 'thinkgate_router_serving{model="more",router="none"} 0.0' in await gateway.metric("router_serving")
        reloads = await gateway.metric("router_reloads_total")
        assert 'thinkgate_router_reloads_total{outcome="unchanged"} 1.0' in reloads
        assert 'thinkgate_router_reloads_total{outcome="loaded"} 2.0' in reloads
    assert gateway.settled == 2, "applications that were replaced"
    # Every request has its record, whichever application answered it.
    efforts = [decided for (decided,) in stored(tmp_path / "records.db", "decided")]
    assert len(efforts) == 5


@pytest.mark.parametrize(
    ("effort", "more", "said"),
    [
        ("hgih", "", "high"),
        ("high", "modles.x = {}", "models"),
        ("high", 'models.more = { deployment = "dpe" }', "dep"),
        ("high", "server.port = 1", "server: cannot change while the gateway runs: restart it"),
        ("high", 'access.path = "other.db"', "access.path: cannot change"),
        ("high", "[[", "TOML"),
    ],
)
async def test_a_bad_one_changes_nothing(
    effort: str, more: str, said: str, backend: ScriptedBackend, tmp_path: Path
) -> None:
    async with reloaded(tmp_path, backend.url) as gateway:
        gateway.write(effort, more)
        with pytest.raises(ConfigError) as error:
            await gateway.reload()
        assert said in json.dumps(error.value.faults)
        assert (await gateway.answered()).headers["x-thinkgate-effort"] == "none"
        assert 'thinkgate_router_reloads_total{outcome="refused"} 1.0' in await gateway.metric("router_reloads_total")


async def test_under_load_every_request_is_of_one_configuration(backend: ScriptedBackend, tmp_path: Path) -> None:
    over = asyncio.Event()
    async with reloaded(tmp_path, backend.url) as gateway:

        async def load() -> None:
            while not over.is_set():
                assert (await gateway.answered()).status_code == 200

        clients = [asyncio.create_task(load()) for _ in range(4)]
        for effort in ("high", "none") * 4:
            gateway.write(effort)
            await gateway.reload()
            assert (await gateway.answered()).headers["x-thinkgate-effort"] == effort
        over.set()
        await asyncio.gather(*clients)
    efforts: dict[str, set[str]] = {}
    for config, decided in stored(tmp_path / "records.db", "config, decided"):
        efforts.setdefault(config, set()).add(decided)
    assert sorted(map(sorted, efforts.values())) == [["4096"], ["none"]]


async def test_a_deployment_that_stays_keeps_its_places(backend: ScriptedBackend, tmp_path: Path) -> None:
    """What runs there counts on, whatever else has changed."""
    go, arrived, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()

    async def waits(connection: Connection) -> None:
        loop.call_soon_threadsafe(arrived.set)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(go.wait(), loop))
        await obedient(connection)

    backend.script = waits
    places = "[deployments.small]\nfamily = 'qwen3'\nverify = false\nmax_in_flight = 1\nmax_queue = 0"
    places += f"\nurl = '{backend.url}'\n[models.small]\ndeployment = 'small'\n"
    async with reloaded(tmp_path, backend.url) as gateway:
        gateway.write("none", places)
        await gateway.reload()
        running = asyncio.create_task(gateway.answered(model="small"))
        await arrived.wait()
        gateway.write("high", places, model="another")
        await gateway.reload()
        assert (await gateway.answered(model="small")).status_code == 429, "its only place is taken"
        go.set()
        assert (await running).status_code == 200
        assert (await gateway.answered(model="small")).status_code == 200


async def test_a_secret_in_a_file_is_read_anew_or_refused_by_name(
    backend: ScriptedBackend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("backend", "operator"):
        (tmp_path / name).write_text(f"the {name} s first secret", "utf-8")
    more = '[deployments.locked]\napi_key_file = "backend"\nfamily = "qwen3"\nverify = false'
    more += (
        f'\nurl = "{backend.url}"\n[models.locked]\ndeployment = "locked"\n[admin]\nport = 0\nkey_file = "operator"\n'
    )
    async with reloaded(tmp_path, backend.url, more) as gateway:

        async def shown() -> str:
            assert (await gateway.answered(model="locked")).status_code == 200
            return backend.requests[-1].headers["authorization"]

        assert await shown() == "Bearer the backend s first secret"
        await gateway.reload()
        assert "nothing in it has changed" in caplog.text
        (tmp_path / "backend").write_text("the second one", "utf-8")
        await gateway.reload()
        assert await shown() == "Bearer the second one" and "secrets of deployments were read anew" in caplog.text
        (tmp_path / "backend").unlink()
        with pytest.raises(ConfigError, match=r"deployments\.locked\.api_key_file"):
            await gateway.reload()
        (tmp_path / "backend").write_text("the third one", "utf-8")
        (tmp_path / "operator").write_text("another key of operators", "utf-8")
        with pytest.raises(ConfigError, match=r"admin\.key: the secret cannot change while the gateway runs"):
            await gateway.reload()
        assert await shown() == "Bearer the second one", "refused as a whole"


async def test_keys_are_asked_for_from_the_reload_on(backend: ScriptedBackend, tmp_path: Path) -> None:
    async with reloaded(tmp_path, backend.url) as gateway:
        assert (await gateway.answered()).status_code == 200
        gateway.write("none", "access.required = true")
        await gateway.reload()
        assert (await gateway.answered()).status_code == 401
        gateway.write("none")
        await gateway.reload()
        assert (await gateway.answered()).status_code == 200
        until(lambda: len(stored(tmp_path / "records.db", "status")) >= 2)
