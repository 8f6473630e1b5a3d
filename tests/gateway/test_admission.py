"""Who gets a place at a deployment, who waits for one, and who is told to come back: the gate, then the front door."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import Any

import aiohttp
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.admission import BATCH_PROMOTION_S, AdmissionController, QueueObserver
from gateway.backends.latency import LatencyModel, Timing
from gateway.config.settings import parse, share
from gateway.core.deployment import Deployment
from gateway.core.errors import Overloaded
from gateway.core.serving_limits import AdmissionLimits
from gateway.families.table import family
from tests.gateway.bounded import FEW
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, ScriptedBackend, delta, obedient
from tests.patience import PATIENCE_S, until

LIMITS = AdmissionLimits(max_in_flight=2, max_queue=3, max_wait_s=60.0)
DEPLOYMENT = Deployment("d", ("http://x/v1",), "m", family("plain"), admission=LIMITS)
ASK: dict[str, Any] = {"model": "plain", "messages": [{"role": "user", "content": "hi"}]}


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        if not self._ready and timers:  # type: ignore[attr-defined]
            self.now = max(self.now, min(timers))
        super()._run_once()  # type: ignore[misc]


def run(main: Any) -> Any:
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main)


def gate(watch: QueueObserver = QueueObserver(), **limits: Any) -> AdmissionController:  # noqa: B008
    return AdmissionController(
        replace(DEPLOYMENT, admission=LIMITS.model_copy(update=limits)), LatencyModel(ttft_s=1.0, tpot_s=0.0), watch
    )


async def enter(at: AdmissionController, batch: bool = False, limit_s: float = 3600.0) -> float:
    return 0.0 if at.try_enter(batch) else await at.enter(batch, limit_s)


def test_without_limits_everybody_enters() -> None:
    free = gate(max_in_flight=None)
    assert all(free.try_enter(batch) for batch in (True, False) for _ in range(1000))
    assert (free.in_flight, free.queued) == (2000, 0)


def test_who_comes_first_is_let_in_first_and_batch_after_everybody() -> None:
    async def main() -> list[str]:
        authenticator, order = gate(), []

        async def visit(name: str, batch: bool) -> None:
            await enter(authenticator, batch)
            order.append(name)
            await asyncio.sleep(1)
            authenticator.leave(None)

        for taken in range(2):
            assert authenticator.try_enter(batch=False), taken
        async with asyncio.TaskGroup() as group:
            for name, batch in (("b1", True), ("b2", True), ("i1", False), ("i2", False)):
                group.create_task(visit(name, batch))
                await asyncio.sleep(0)
            assert authenticator.queued == 4 and order == []
            authenticator.leave(None)
            authenticator.leave(None)
        assert (authenticator.in_flight, authenticator.queued) == (0, 0)
        return order

    assert run(main()) == ["i1", "i2", "b1", "b2"]


def test_batch_leaves_places_to_others_but_not_for_ever() -> None:
    async def main() -> None:
        authenticator = gate(max_in_flight=4, batch_share=0.5)
        assert [authenticator.try_enter(batch=True) for _ in range(3)] == [True, True, False]
        waiting = asyncio.create_task(enter(authenticator, batch=True))
        await asyncio.sleep(0)
        assert authenticator.try_enter(batch=False) and authenticator.try_enter(batch=False)
        late = asyncio.create_task(enter(authenticator))
        await asyncio.sleep(BATCH_PROMOTION_S + 1)
        later = asyncio.create_task(enter(authenticator))
        await asyncio.sleep(0)
        authenticator.leave(None)
        await late
        assert not waiting.done()
        authenticator.leave(None)
        await waiting
        assert not later.done(), "it came when the batch request had waited long enough"
        authenticator.leave(None)
        await later

    run(main())


def test_a_batch_request_that_has_waited_takes_a_free_place_though_nobody_leaves() -> None:
    async def main() -> None:
        authenticator = gate(max_in_flight=2, batch_share=0.5, batch_wait_s=8.0)
        assert authenticator.try_enter(batch=True) and not authenticator.try_enter(batch=True)
        assert await enter(authenticator, batch=True) == pytest.approx(4.0, abs=0.1)
        assert (authenticator.in_flight, authenticator.queued) == (2, 0)
        with pytest.raises(Overloaded):
            await enter(authenticator, batch=True)
        assert authenticator.queued == 0

    run(main())


def test_the_time_to_come_back_is_what_those_ahead_need() -> None:
    async def main() -> None:
        refused: list[int] = []
        authenticator = gate(QueueObserver(refused=lambda: refused.append(1)))
        for _ in range(200):
            assert authenticator.try_enter(batch=False)
            authenticator.leave(Timing(ttft_s=None, latency_s=10.0, tokens=5))
        assert authenticator.try_enter(batch=False) and authenticator.try_enter(batch=False)
        waiting = [asyncio.create_task(enter(authenticator)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as full:
            await enter(authenticator)
        # Four answers of ten seconds each at two places.
        assert full.value.headers == {"retry-after": "20"} and full.value.status == 429
        waiting[0].cancel()
        await asyncio.sleep(0)
        assert authenticator.queued == 2
        with pytest.raises(Overloaded):
            await enter(authenticator, limit_s=10.0)
        assert len(refused) == 2
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert authenticator.queued == 0

    run(main())


def test_nobody_waits_longer_than_allowed() -> None:
    async def main() -> None:
        authenticator = gate(max_in_flight=1, max_wait_s=5.0)
        assert authenticator.try_enter(batch=False)
        for limit_s, waits in ((3600.0, 5.0), (2.0, 2.0)):
            begun = asyncio.get_running_loop().time()
            with pytest.raises(Overloaded):
                await enter(authenticator, limit_s=limit_s)
            assert asyncio.get_running_loop().time() - begun == pytest.approx(waits)
            assert authenticator.queued == 0

    run(main())


VISITS = st.lists(
    st.tuples(
        st.floats(0, 10),  # when it comes
        st.floats(0, 5),  # how long it stays
        st.booleans(),  # batch
        st.floats(0, 12) | st.none(),  # when its client hangs up, after it came
        st.booleans(),  # whether it fails
        st.floats(0.1, 20),  # how long it may wait
    ),
    max_size=40,
)


@FEW
@given(
    visits=VISITS, places=st.integers(1, 4), queue=st.integers(0, 5), wait_s=st.floats(0.1, 8), share=st.floats(0.1, 1)
)
def test_no_place_is_ever_lost(visits: list[Any], places: int, queue: int, wait_s: float, share: float) -> None:
    async def main() -> None:
        most, waiting = 0, [0.0]
        watch = QueueObserver(queued=lambda now: waiting.append(now))
        authenticator = gate(watch, max_in_flight=places, max_queue=queue, max_wait_s=wait_s, batch_share=share)

        async def visit(stays_s: float, batch: bool, fails: bool, limit_s: float) -> None:
            nonlocal most
            await enter(authenticator, batch, limit_s)
            most = max(most, authenticator.in_flight)
            try:
                await asyncio.sleep(stays_s)
                if fails:
                    raise ConnectionError
            finally:
                authenticator.leave(None if fails else Timing(None, stays_s, 3))

        async def client(
            comes: float, stays: float, batch: bool, hangs_up: float | None, fails: bool, limit: float
        ) -> None:
            await asyncio.sleep(comes)
            task = asyncio.create_task(visit(stays, batch, fails, limit))
            if hangs_up is not None:
                asyncio.get_running_loop().call_later(hangs_up, task.cancel)
            await asyncio.gather(task, return_exceptions=True)

        await asyncio.gather(*(client(*each) for each in visits))
        assert (authenticator.in_flight, authenticator.queued) == (0, 0)
        assert most <= places and max(waiting) <= 2 * queue and waiting[-1] == 0

    run(main())


@contextlib.contextmanager
def held(backend: ScriptedBackend) -> Iterator[tuple[threading.Semaphore, threading.Event]]:
    """The backend answers only after the event; the semaphore counts what has reached it."""
    reached, go = threading.Semaphore(0), threading.Event()

    async def wait(connection: Connection) -> None:
        reached.release()
        await asyncio.to_thread(go.wait, PATIENCE_S)
        await obedient(connection)

    backend.script = wait
    try:
        yield reached, go
    finally:
        go.set()


def limited(backend: ScriptedBackend, start: Start, **limits: Any) -> RunningGateway:
    chosen = table(backend.url)
    chosen["deployments"]["other"] |= {"max_in_flight": 1, "max_wait_s": 600, "ttft_s": 2, "tpot_s": 0, **limits}
    return start(chosen)


def waits(gateway: RunningGateway, number: int) -> None:
    """Returns when so many wait."""
    until(lambda: f'thinkgate_queued{{deployment="other"}} {number}.0' in gateway.get("/metrics").text)


def test_more_than_it_can_do_waits_and_more_than_can_wait_is_told_when_to_come_back(
    backend: ScriptedBackend, start: Start
) -> None:
    gateway = limited(backend, start, max_queue=1)
    with ThreadPoolExecutor(2) as pool, gateway.sdk() as client, held(backend) as (reached, go):
        first = pool.submit(gateway.post, ASK, headers={"x-request-id": "first"})
        assert reached.acquire(timeout=PATIENCE_S)
        second = pool.submit(gateway.post, {**ASK, "stream": True}, headers={"x-request-id": "second"})
        waits(gateway, 1)
        with pytest.raises(openai.RateLimitError) as full:
            client.chat.completions.create(**ASK)
        assert (full.value.code, full.value.type) == ("overloaded", "rate_limit_error")
        assert full.value.response.headers["retry-after"] == "4"
        assert len(backend.requests) == 1
        go.set()
        assert first.result().status_code == 200 and second.result().status_code == 200
    text = gateway.get("/metrics").text
    assert 'thinkgate_overloaded_total{deployment="other"} 1.0' in text
    assert 'thinkgate_queue_seconds_count{deployment="other"} 1.0' in text
    assert gateway.parts.dispatch.admission["other"].in_flight == 0
    rows = {row["request_id"]: row for row in gateway.records()}
    assert rows["first"]["queued_ms"] is None and rows["second"]["queued_ms"] > 0
    assert sorted(row["status"] for row in rows.values()) == [200, 200, 429]


def test_a_client_that_leaves_the_queue_is_never_sent(backend: ScriptedBackend, start: Start) -> None:
    gateway = limited(backend, start)
    with ThreadPoolExecutor(1) as pool, held(backend) as (reached, go):
        first = pool.submit(gateway.post, ASK)
        assert reached.acquire(timeout=PATIENCE_S)
        with gateway.leaving(ASK):
            waits(gateway, 1)
        waits(gateway, 0)
        go.set()
        assert first.result().status_code == 200
    assert len(backend.requests) == 1
    assert [(row["status"], row["client_gone"]) for row in gateway.records()] == [(200, 0), (499, 1)]


def test_a_stream_keeps_its_place_until_it_ends_or_its_client_leaves(backend: ScriptedBackend, start: Start) -> None:
    async def endless(connection: Connection) -> None:
        if not connection.request.body.get("stream"):
            await obedient(connection)
            return
        await connection.begin_stream()
        await connection.event(delta(content="a"))
        await connection.hung_up()

    backend.script = endless
    gateway = limited(backend, start)
    with ThreadPoolExecutor(1) as pool:
        with gateway.sdk() as client, client.chat.completions.create(**ASK, stream=True) as stream:
            next(iter(stream))
            waiting = pool.submit(gateway.post, ASK)
            waits(gateway, 1)
        assert waiting.result().status_code == 200
    assert gateway.parts.dispatch.admission["other"].in_flight == 0


@pytest.mark.parametrize(
    ("body", "header"), [({"service_tier": "flex"}, None), ({}, "batch"), ({"service_tier": "default"}, "batch")]
)
def test_a_batch_request_waits_for_those_that_come_later(
    backend: ScriptedBackend, start: Start, body: dict[str, Any], header: str | None
) -> None:
    gateway = limited(backend, start)
    with ThreadPoolExecutor(3) as pool, held(backend) as (reached, go):
        first = pool.submit(gateway.post, ASK)
        assert reached.acquire(timeout=PATIENCE_S)
        headers = {} if header is None else {"x-thinkgate-priority": header}
        batch = pool.submit(gateway.post, {**ASK, "seed": 1, **body}, headers=headers)
        waits(gateway, 1)
        later = pool.submit(gateway.post, {**ASK, "seed": 2, **body}, headers={"x-thinkgate-priority": "interactive"})
        waits(gateway, 2)
        go.set()
        assert all(each.result().status_code == 200 for each in (first, batch, later))
    assert [request.body.get("seed") for request in backend.requests] == [None, 2, 1]


def test_an_unknown_priority_is_named(scripted_gateway: RunningGateway) -> None:
    answer = scripted_gateway.post(ASK, headers={"x-thinkgate-priority": "urgent"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "x-thinkgate-priority")


async def _erratic(connection: Connection) -> None:
    """A backend that answers, refuses, breaks off or says nothing, as the request's seed has it."""
    match connection.request.body["seed"] % 5:
        case 0 | 1:
            await obedient(connection)
        case 2:
            await connection.answer(503, b"{}")
        case 3 if connection.request.body.get("stream"):
            await connection.begin_stream()
            await connection.event(delta(content="a"))
            connection.cut()
        case 3:
            connection.cut()
        case 4:
            await connection.hung_up()


async def test_whatever_happens_every_place_is_given_back(backend: ScriptedBackend, serve: Start) -> None:
    backend.script = _erratic
    chosen = table(backend.url)
    limits = {"max_in_flight": 3, "max_queue": 20, "read_timeout_s": 0.3, "ttft_s": 0.01, "tpot_s": 0.0}
    chosen["deployments"]["other"] |= {**limits, "fallback": "hybrid"}
    chosen["deployments"]["hybrid"] |= limits
    gateway = serve(chosen)
    random = Random(7)
    seen = set()

    async def ask(session: aiohttp.ClientSession, seed: int) -> None:
        patience = aiohttp.ClientTimeout(total=random.choice([0.05, 0.2, PATIENCE_S]))
        body = {**ASK, "seed": seed, "stream": random.random() < 0.5}
        if random.random() < 0.3:
            body["service_tier"] = "flex"
        await asyncio.sleep(random.random())
        try:
            async with session.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=patience) as answer:
                seen.add(answer.status)
                await answer.read()
        except TimeoutError:
            seen.add(499)
        except aiohttp.ClientError:
            pass

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for _ in range(10):  # as often as it takes on this machine to have seen everything: once, as a rule
            await asyncio.gather(*(ask(session, seed) for seed in range(200)))
            if seen >= {200, 429, 499}:
                break
    assert seen >= {200, 429, 499}
    await asyncio.to_thread(gateway.records)
    admission = gateway.parts.dispatch.admission
    assert {(name, each.in_flight, each.queued) for name, each in admission.items()} == {
        (name, 0, 0) for name in admission
    }


def test_workers_share_the_places() -> None:
    chosen = table("http://x")
    chosen["deployments"]["other"] |= {"max_in_flight": 9, "max_queue": 9}
    parts = share(parse(chosen), 4).deployments
    assert (parts["other"].max_in_flight, parts["other"].max_queue) == (2, 3)
    assert parts["hybrid"].max_in_flight is None
    assert share(parse(chosen), 20).deployments["other"].max_in_flight == 1
