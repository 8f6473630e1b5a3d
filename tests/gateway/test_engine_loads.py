"""How busy engines are by their own account: asked in the background, and part of the price of a token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.backends import engine_metrics
from gateway.backends.engine_loads import STALE, EngineLoads
from gateway.backends.transport import Transport
from gateway.core.deployment import Deployment
from gateway.core.load import EngineLoad, Load
from gateway.embedded.metrics import EngineMetrics
from gateway.families.table import family
from gateway.routing.prices.load import LoadPrice, LoadSettings
from gateway.routing.prices.protocol import PriceContext, Surroundings
from tests.gateway.conftest import Start
from tests.gateway.scripted import Connection, ScriptedBackend, obedient
from tests.gateway.test_decide import TEXTS, body
from tests.gateway.test_prices_in_front import priced
from tests.gateway.traffic import ARM, Clock
from tests.patience import until

VLLM = family("qwen3").host.load_metrics
SGLANG = family("qwen3", "sglang").host.load_metrics
PAGE = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 5.0
vllm:num_requests_running{engine="1",model_name="m"} 3.0
vllm:num_requests_running{engine="0",model_name="another"} 100.0
vllm:num_requests_waiting{engine="0",model_name="m"} 7.0
vllm:num_requests_waiting{engine="1",model_name="m"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 7.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.5
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.9
"""


@pytest.mark.parametrize(
    ("page", "names", "expected"),
    [
        (PAGE, VLLM, EngineLoad(8.0, 7.0, 0.9)),
        (PAGE.replace(b'"m"', b'"an alias"').replace(b'"another"', b'"an alias"'), VLLM, EngineLoad(108.0, 7.0, 0.9)),
        (PAGE, SGLANG, None),
        (b"sglang:num_running_reqs 4\nsglang:num_queue_reqs 2\n", SGLANG, EngineLoad(4.0, 2.0, None)),
        (b"vllm:num_requests_running 4\nvllm:num_requests_waiting NaN\n", VLLM, None),
        (b"<html>not metrics</html>", VLLM, None),
        (b"\xff\xfe", VLLM, None),
        (b"", VLLM, None),
    ],
)
def test_metrics_are_read_by_the_names_of_the_engine(page: bytes, names: Any, expected: EngineLoad | None) -> None:
    assert engine_metrics.read(page, names, "m") == expected


def token_price(load: Load, **settings: Any) -> float:
    given = LoadSettings.model_validate({"kind": "load", **settings})
    setter = given.setter(Surroundings("m", gated=True, load_of=lambda name: load))
    assert isinstance(setter, LoadPrice)
    return setter.price(PriceContext("id", None, ARM, "unit")).token  # type: ignore[arg-type]


def test_the_price_is_that_of_whoever_has_more_to_say() -> None:
    gate = Load(in_flight=8, queued=8, places=8, answer_s=10.0, answer_tokens=100.0)
    assert token_price(gate) == pytest.approx(0.1 * 0.1 * 9.6 / 8)
    assert token_price(gate._replace(queued=0, in_flight=6)) == 0
    idle = EngineLoad(running=3, waiting=0, cache=0.4)
    assert token_price(gate._replace(engine=idle)) == token_price(gate), "the engine adds nothing"
    filling = gate._replace(queued=15, most_queued=60)
    assert token_price(filling) == pytest.approx(0.1 * 0.1 * 16.6 / 8 + 0.8 * 15 / 60 / 100), "refusals are to follow"
    assert token_price(filling, price_of_refusal=0.0) == pytest.approx(0.1 * 0.1 * 16.6 / 8)
    free = Load(in_flight=10, answer_s=10.0, answer_tokens=100.0)
    assert token_price(free) == token_price(free._replace(engine=idle)) == 0
    full = free._replace(engine=EngineLoad(running=4, waiting=6, cache=0.7))
    assert token_price(full) == pytest.approx(0.1 * 0.1 * 6 / 4)
    assert token_price(full, engine_metrics=False) == 0
    crammed = free._replace(engine=EngineLoad(running=8, waiting=0, cache=1.0))
    assert token_price(crammed) == pytest.approx(0.1 * 0.1 * 1.6 / 8), "pressure on the cache counts before any queue"
    assert token_price(free._replace(engine=EngineLoad(4, 6, None))) == token_price(full)


async def asked(backend: ScriptedBackend, look: Callable[[EngineLoads, str | None], None], *pages: bytes | int) -> None:
    """Ask the backend once for each page, which may be a status, and look at what is known after each."""
    deployment = Deployment("d", (backend.url,), "m", family("qwen3"))
    transport, clock = Transport({"d": deployment}), Clock()
    loads = EngineLoads(transport, clock)
    loads.watch(deployment, 2.0)
    await transport.open()
    try:
        for page in pages:

            async def script(connection: Connection, page: bytes | int = page) -> None:
                assert connection.request.path == "/metrics"
                status, content = (page, b"") if isinstance(page, int) else (200, page)
                await connection.answer(status, content)

            backend.script = script
            look(loads, await loads.ask(deployment, backend.url))
        clock.now += 2.0 * STALE
        assert loads.of("d") is None, "too old to count"
    finally:
        await transport.close()


def test_what_an_engine_does_not_say_is_not_known(backend: ScriptedBackend) -> None:
    seen: list[tuple[EngineLoad | None, str | None]] = []
    pages = (404, b"", PAGE, 500)
    asyncio.run(asked(backend, lambda loads, fault: seen.append((loads.of("d"), fault)), *pages))
    assert [load for load, _ in seen] == [None, None, EngineLoad(8.0, 7.0, 0.9), EngineLoad(8.0, 7.0, 0.9)]
    assert [fault for _, fault in seen] == [
        "status 404",
        "its metrics lack the requests that run and wait",
        None,
        "status 500",
    ]


def test_a_kind_of_engine_without_metrics_is_not_asked() -> None:
    hosted = Deployment("d", ("http://127.0.0.1:9/v1",), "m", family("anthropic"))
    loads = EngineLoads(Transport({"d": hosted}))
    loads.watch(hosted, 1.0)
    loads.start()
    assert loads.of("d") is None and loads.of("unknown") is None


def test_the_embedded_engine_says_how_busy_it_is_as_vllm_does() -> None:
    metrics = EngineMetrics(["tiny", "other"])
    metrics.watch("tiny", lambda: 6.0, lambda: 4.0, 8)
    metrics.watch("other", lambda: 1.0, lambda: 9.0, 8)
    assert engine_metrics.read(metrics.page(), VLLM, "tiny") == EngineLoad(6.0, 4.0, 0.75)


def test_requests_that_wait_inside_an_engine_have_a_price_whoever_sent_them(
    backend: ScriptedBackend, start: Start
) -> None:
    page = [PAGE]

    async def script(connection: Connection) -> None:
        if connection.request.path == "/metrics":
            await connection.answer(200, page[0])
        else:
            await obedient(connection)

    backend.script = script
    given = priced(backend.url, {"kind": "load", "engine_every_s": 0.5}, dial=0.95)
    del given["deployments"]["merged"]["max_in_flight"]
    gateway = start(given)

    def price() -> float:
        parts: dict[str, dict[str, float]] = gateway.post(body("pub", TEXTS[0]), "/v1/decide").json()["prices"][
            "setters"
        ]
        return parts["load"]["token"]

    until(lambda: price() > 0)
    page[0] = PAGE.replace(b" 7.0", b" 0.0").replace(b" 0.9", b" 0.4")
    until(lambda: price() == 0)
    assert gateway.post(body("pub", TEXTS[0])).status_code == 200
