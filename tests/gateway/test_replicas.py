"""Replicas: affinity, load, breaks and half-open tries, on a clock that the test turns; then through the front door."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.backends.failures import wait_s
from gateway.backends.replicas import FAILURES, FIRST_BREAK_S, LONGEST_BREAK_S, MORE_TOKENS, Replica, Replicas
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import Effort
from gateway.core.forecast import EffortForecast, Forecast
from gateway.families.compiler import compile_plan
from gateway.families.model_limits import ModelLimits
from gateway.families.table import family
from tests.gateway.conftest import Start, table
from tests.gateway.late import late
from tests.gateway.refusing import refusing
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, ScriptedBackend, obedient
from tests.patience import PATIENCE_S

URLS = ("http://a/v1", "http://b/v1", "http://c/v1")
# Conversations enough that each of two replicas on ports of chance gets several: it fails once in 10^8.
MANY = 30


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def replicas(clock: Clock) -> Replicas:
    return Replicas(URLS, clock)


def picked(replicas: Replicas, conversation: str = "x", tried: tuple[Replica, ...] = ()) -> Replica:
    replica = replicas.pick(conversation, tried)
    assert replica is not None
    return replica


def test_a_conversation_keeps_its_replica_and_conversations_spread(replicas: Replicas) -> None:
    counts = Counter(picked(replicas, f"talk {i}").url for i in range(600))
    assert all(picked(replicas, "talk 7") is picked(replicas, "talk 7") for _ in range(5))
    assert min(counts.values()) > 150


def test_when_a_replica_goes_only_its_conversations_move(clock: Clock) -> None:
    three, two = Replicas(URLS, clock), Replicas(URLS[:2], clock)
    for i in range(200):
        before, after = picked(three, f"talk {i}").url, picked(two, f"talk {i}").url
        assert before in (after, URLS[2])


def test_a_conversation_leaves_a_replica_that_is_far_busier(replicas: Replicas) -> None:
    own = picked(replicas)
    own.began(MORE_TOKENS)
    assert picked(replicas) is own
    own.began(1)
    other = picked(replicas)
    assert other is not own
    own.ended(1, probe=False)
    assert picked(replicas) is own


def test_failures_in_a_row_open_the_circuit_and_one_request_tries_it(replicas: Replicas, clock: Clock) -> None:
    own = picked(replicas)
    for _ in range(FAILURES - 1):
        own.failed(clock.now)
    assert picked(replicas) is own
    own.succeeded()
    for _ in range(FAILURES):
        own.failed(clock.now)
    assert picked(replicas) is not own
    clock.now += FIRST_BREAK_S
    assert picked(replicas) is own
    assert own.began(1)
    assert picked(replicas) is not own, "one request at a time while half open"
    own.ended(1, probe=False)
    assert picked(replicas) is not own, "an older request that ends says nothing of it"
    own.failed(clock.now)
    own.ended(1, probe=True)
    clock.now += FIRST_BREAK_S
    assert picked(replicas) is not own, "the next break is longer"
    clock.now += FIRST_BREAK_S
    assert own.began(1)
    own.answering()
    assert picked(replicas) is own, "the next may follow"
    own.succeeded()
    assert not own.began(1)


def test_breaks_do_not_grow_without_end(clock: Clock) -> None:
    replica = Replica("http://a/v1")
    for _ in range(500):
        clock.now = max(clock.now, replica.wait_until())
        replica.failed(clock.now)
    assert replica.wait_until() == clock.now + LONGEST_BREAK_S


def test_requests_that_fail_together_make_one_break(clock: Clock) -> None:
    replica = Replica("http://a/v1")
    for _ in range(50):
        replica.failed(clock.now)
    assert replica.wait_until() == clock.now + FIRST_BREAK_S


def test_a_busy_replica_is_asked_again_when_it_said_so(replicas: Replicas, clock: Clock) -> None:
    own = picked(replicas)
    own.busy(7, clock.now)
    assert picked(replicas) is not own
    clock.now += 7
    assert picked(replicas) is own


def test_where_all_are_in_a_break_the_first_to_come_back_is_asked(replicas: Replicas, clock: Clock) -> None:
    for wait, replica in zip((9, 3, 5), replicas.all, strict=True):
        replica.busy(wait, clock.now)
    assert picked(replicas) is replicas.all[1]
    assert replicas.pick("x", (replicas.all[1],)) is None


def _several(backends: list[str], **fields: Any) -> dict[str, Any]:
    settings = table(backends[0])
    settings["deployments"]["hybrid"] |= {"url": backends, **fields}
    return settings


def started(start: Start, backends: list[str], **fields: Any) -> RunningGateway:
    """Over several replicas; a break of one of them lasts as long as the test."""
    gateway = start(_several(backends, **fields))
    gateway.stop_clock_of_breaks()
    return gateway


def _ask(number: int) -> dict[str, Any]:
    return {"model": "merged", "messages": [{"role": "user", "content": f"hi {number}"}], "reasoning_effort": "low"}


def _refusal(status: int, **headers: str) -> Any:
    async def refuse(connection: Connection) -> None:
        await connection.answer(status, json.dumps({"error": {"message": "no", "code": "busy"}}).encode(), headers)

    return refuse


async def _reset(connection: Connection) -> None:
    connection.cut()


@pytest.mark.parametrize("fault", [_refusal(429), _refusal(500), _refusal(502), _refusal(503), _refusal(504), _reset])
def test_another_replica_answers_what_one_cannot(start: Start, fault: Any) -> None:
    with ScriptedBackend(fault) as bad, ScriptedBackend() as good:
        gateway = started(start, [bad.url, good.url])
        answers = [gateway.post({**_ask(number), "stream": number % 2 == 0}) for number in range(MANY)]
        assert {answer.status_code for answer in answers} == {200}
        assert 0 < len(bad.requests) < MANY and len(good.requests) == MANY
        assert len(gateway.records()) == MANY


def test_a_replica_that_is_gone_is_soon_not_asked_at_all(start: Start) -> None:
    with ScriptedBackend() as good, refusing() as nowhere:
        gateway = started(start, [nowhere, good.url])
        assert {gateway.post(_ask(number)).status_code for number in range(30)} == {200}
        assert 0 < _retries(gateway) < 10


def _retries(gateway: RunningGateway) -> float:
    lines = gateway.get("/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("thinkgate_upstream_retries_total{"))


def test_a_single_replica_is_not_asked_again(start: Start) -> None:
    with ScriptedBackend(_refusal(503)) as only:
        gateway = started(start, [only.url])
        assert gateway.post(_ask(0)).status_code == 503
        assert len(only.requests) == 1 and _retries(gateway) == 0


@pytest.mark.parametrize("begun", [False, True])
def test_a_replica_that_stays_silent_is_soon_not_asked(start: Start, begun: bool) -> None:
    over = threading.Semaphore(0)

    async def silent(connection: Connection) -> None:
        try:
            if begun:
                await connection.begin_stream()
            await connection.hung_up()
        finally:
            over.release()

    with ScriptedBackend() as bad, ScriptedBackend() as good:
        gateway = started(start, [bad.url, good.url], read_timeout_s=30)
        bad.script = late(gateway, silent, 31)
        statuses = []
        for number in range(24):
            statuses.append(gateway.post({**_ask(number), "stream": True}).status_code)
            # Until then the clock runs ahead, for the next request as well.
            assert statuses[-1] == 200 or over.acquire(timeout=PATIENCE_S)
        assert statuses.count(504) == len(bad.requests) < 8
        assert statuses.count(200) == len(good.requests)


def test_images_do_not_burden_the_choice(start: Start) -> None:
    parts = [{"type": "image_url", "image_url": {"url": "data:x"}}, {"type": "text", "text": "what is this?"}]
    with ScriptedBackend() as first, ScriptedBackend() as second:
        gateway = started(start, [first.url, second.url])
        for _ in range(4):
            assert gateway.post({**_ask(0), "messages": [{"role": "user", "content": parts}]}).status_code == 200
        assert sorted((len(first.requests), len(second.requests))) == [0, 4]


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_what_the_client_must_mend_is_not_tried_twice(start: Start, status: int) -> None:
    with ExitStack() as stack:
        both = [stack.enter_context(ScriptedBackend(_refusal(status))) for _ in range(2)]
        gateway = started(start, [backend.url for backend in both])
        assert gateway.post(_ask(0)).status_code == status
        assert sum(len(backend.requests) for backend in both) == 1


@pytest.mark.parametrize(
    ("client", "backend"), [({"x-stainless-retry-count": "1"}, {}), ({}, {"x-should-retry": "false"})]
)
def test_two_layers_of_retries_do_not_multiply(start: Start, client: dict[str, str], backend: dict[str, str]) -> None:
    with ExitStack() as stack:
        both = [stack.enter_context(ScriptedBackend(_refusal(503, **backend))) for _ in range(2)]
        gateway = started(start, [replica.url for replica in both])
        assert gateway.post(_ask(0), headers=client).status_code == 503
        assert sum(len(replica.requests) for replica in both) == 1


def test_retry_after_is_obeyed_and_kept(start: Start) -> None:
    with ScriptedBackend(_refusal(429, **{"retry-after": "30"})) as first, ScriptedBackend() as second:
        gateway = started(start, [first.url, second.url])
        assert {gateway.post(_ask(number)).status_code for number in range(MANY)} == {200}
        assert len(first.requests) == 1, "it said not to come back for half a minute"
        second.script = first.script
        answer = gateway.post(_ask(0))
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")


@pytest.mark.parametrize("word", ["nan", "inf", "-3", "Wed, 21 Oct 2026 07:28:00 GMT", "soon", "1e999"])
def test_a_retry_after_that_is_no_number_of_seconds_shuts_nobody_out(start: Start, word: str) -> None:
    with ScriptedBackend(_refusal(429, **{"retry-after": word})) as first, ScriptedBackend() as second:
        gateway = started(start, [first.url, second.url])
        assert {gateway.post(_ask(number)).status_code for number in range(MANY)} == {200}
        assert len(first.requests) > 1


PAST, SOON, FAR = (f"Wed, 21 Oct 2015 07:{at} GMT" for at in ("00:00", "00:30", "59:59"))


@pytest.mark.parametrize(
    ("word", "date", "seconds"),
    [
        ("7", None, 7),
        ("7", FAR, 7),
        (SOON, PAST, 30),  # by the backend's own clock, however wrong
        ("Wednesday, 21-Oct-15 07:00:30 GMT", PAST, 30),
        (PAST, SOON, None),
        (PAST, None, None),  # by ours
        ("Fri, 21 Oct 2095 07:00:00 GMT", None, None),  # no backend means that
        ("Thu, 22 Oct 2015 08:00:00 GMT", PAST, None),
        (SOON, "yesterday", None),
        ("Wed, 99 Oct 99999999999999 07:00:00 GMT", None, None),
        ("soon", PAST, None),
    ],
)
def test_a_moment_to_come_back_is_counted_by_the_clock_of_who_said_so(
    word: str, date: str | None, seconds: float | None
) -> None:
    assert wait_s({"retry-after": word}, date) == seconds


def test_a_moment_to_come_back_is_obeyed(start: Start) -> None:
    with ScriptedBackend(_refusal(429, **{"retry-after": SOON, "date": PAST})) as first, ScriptedBackend() as second:
        gateway = started(start, [first.url, second.url])
        assert {gateway.post(_ask(number)).status_code for number in range(MANY)} == {200}
        assert len(first.requests) == 1


def test_the_work_of_a_request_is_what_is_forecast_of_it() -> None:
    deployment = Deployment("d", ("http://x/v1",), "m", family("qwen3"))
    effort = Effort(True, 512)
    arm = Arm.of("a", deployment, deployment, (effort,))
    call = Call("r", "chat", "m", {"messages": []}, size=400)
    forecast = Forecast("v", (EffortForecast(effort, 0.9, 60.0, 20.0, 1.0),))
    expected, at_most = (compile_plan(call, effort, arm, ModelLimits(), seen).tokens for seen in (forecast, None))
    assert (expected, at_most) == (100 + 60 + 20, 100 + 512)


def test_retries_can_be_switched_off(start: Start) -> None:
    with ExitStack() as stack:
        both = [stack.enter_context(ScriptedBackend(_refusal(503))) for _ in range(2)]
        gateway = started(start, [replica.url for replica in both], retries=0)
        assert gateway.post(_ask(0)).status_code == 503
        assert sum(len(replica.requests) for replica in both) == 1


def test_nothing_is_retried_after_the_first_byte(start: Start) -> None:
    async def cut_short(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"fo"}}]}\n\n')
        connection.cut()

    with ExitStack() as stack:
        both = [stack.enter_context(ScriptedBackend(cut_short)) for _ in range(2)]
        gateway = started(start, [replica.url for replica in both])
        assert '"error"' in gateway.post({**_ask(0), "stream": True}).text
        assert sum(len(replica.requests) for replica in both) == 1


def test_finished_requests_leave_no_work_behind(start: Start) -> None:
    with ScriptedBackend() as first, ScriptedBackend(obedient) as second:
        gateway = started(start, [first.url, second.url])
        for number in range(10):
            gateway.post({**_ask(number), "stream": number % 2 == 0})
        replicas = gateway.parts.transport.replicas("hybrid").all
        assert [replica.outstanding for replica in replicas] == [0.0, 0.0]


def test_a_client_that_leaves_takes_its_work_along(start: Start) -> None:
    arrived, gone = threading.Semaphore(0), threading.Semaphore(0)

    async def endless(connection: Connection) -> None:
        try:
            await connection.begin_stream()
            arrived.release()
            await connection.hung_up()
        finally:
            gone.release()

    with ScriptedBackend(endless) as first, ScriptedBackend(endless) as second:
        gateway = started(start, [first.url, second.url])
        with gateway.leaving({**_ask(0), "stream": True}):
            assert arrived.acquire(timeout=PATIENCE_S)
        assert gone.acquire(timeout=PATIENCE_S)
        (row,) = gateway.records()
        assert row["status"] == 499
        assert [replica.outstanding for replica in gateway.parts.transport.replicas("hybrid").all] == [0.0, 0.0]
