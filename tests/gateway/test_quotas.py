"""How much a key may have: nothing beyond it is sent, what is left is told, and what is not used is given back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.auth.api_key_format import key_id
from gateway.auth.usage_row import UsageRow
from tests.gateway.conftest import table
from tests.gateway.keyed import NOON, Clock, KeyedGateway
from tests.gateway.scripted import ANSWER, Connection, ScriptedBackend, delta, obedient, thorough
from tests.patience import PATIENCE_S

MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]
ASK: dict[str, Any] = {"model": "bounded", "messages": MESSAGES}
# Levels of the models in use: low 32, medium 64, high 128.
PRICED = {"input_price": 10.0, "output_price": 1000.0}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gateway(backend: ScriptedBackend, tmp_path: Path, clock: Clock) -> Iterator[KeyedGateway]:
    settings = table(backend.url)
    settings["deployments"]["hybrid"] |= PRICED
    settings["deployments"]["priced"] = {**settings["deployments"]["other"], **PRICED}
    settings["models"]["plain-priced"] = {"deployment": "priced"}
    backend.script = thorough
    with KeyedGateway(settings, tmp_path, clock) as running:
        yield running


def ask(gateway: KeyedGateway, secret: str, **more: Any) -> httpx.Response:
    return gateway.post({**ASK, **more}, headers={"authorization": f"Bearer {secret}"})


def used(gateway: KeyedGateway, secret: str) -> UsageRow:
    key = gateway.keys.get(str(key_id(secret)))
    return gateway.keys.counters.read(key.slot, gateway.keys.clock())


def refusal(answer: httpx.Response) -> tuple[str, str, str | None, str | None]:
    """Type, code, Retry-After and x-should-retry."""
    assert answer.status_code == 429
    error = answer.json()["error"]
    return error["type"], error["code"], answer.headers.get("retry-after"), answer.headers.get("x-should-retry")


def test_requests_per_minute(gateway: KeyedGateway, clock: Clock, backend: ScriptedBackend) -> None:
    secret = gateway.key(requests_per_minute=2)
    clock.now = NOON + 17.5
    for remaining in ("1", "0"):
        headers = ask(gateway, secret).headers
        assert headers["x-ratelimit-limit-requests"] == "2"
        assert headers["x-ratelimit-remaining-requests"] == remaining
        assert headers["x-ratelimit-reset-requests"] == "43s"
    answer = ask(gateway, secret)
    assert refusal(answer) == ("requests", "rate_limit_exceeded", "43", None)
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert len(backend.requests) == 2
    clock.now = NOON + 60
    assert ask(gateway, secret).status_code == 200
    rows = gateway.records()
    assert [row["status"] for row in rows] == [200, 200, 429, 200]
    assert {row["key"] for row in rows} == {key_id(secret)} and rows[2]["error_code"] == "rate_limit_exceeded"


def test_who_has_to_wait_for_long_keeps_no_connection(gateway: KeyedGateway) -> None:
    """Within a minute it may come again on the same one; for tomorrow's quota it need not hold a place."""
    minute, day = gateway.key(requests_per_minute=0), gateway.key(thinking_per_day=0)
    for secret, closed in ((minute, False), (day, True)):
        answer = ask(gateway, secret, reasoning_effort="high")
        assert answer.status_code == 429
        assert (answer.headers.get("connection") == "close") is closed


def test_tokens_per_minute_count_what_was_used(gateway: KeyedGateway, clock: Clock) -> None:
    secret = gateway.key(tokens_per_minute=100)
    # 7 of the prompt, 32 of the thought, 4 of the answer.
    assert ask(gateway, secret, reasoning_effort="low").headers["x-ratelimit-remaining-tokens"] == "57"
    assert ask(gateway, secret, reasoning_effort="low").headers["x-ratelimit-remaining-tokens"] == "14"
    assert ask(gateway, secret, reasoning_effort="low").headers["x-ratelimit-remaining-tokens"] == "0"
    assert refusal(ask(gateway, secret)) == ("tokens", "rate_limit_exceeded", "60", None)
    clock.now += 60
    assert ask(gateway, secret).status_code == 200


def test_a_thinking_quota_refuses_what_is_named_and_bounds_what_is_not(
    gateway: KeyedGateway, clock: Clock, backend: ScriptedBackend
) -> None:
    secret = gateway.key(thinking_per_hour=200)
    clock.now = NOON + 600
    headers = ask(gateway, secret, reasoning_effort="high").headers
    assert headers["x-thinkgate-remaining-thinking"] == "72" and headers["x-thinkgate-limit-thinking"] == "200"
    assert headers["x-thinkgate-reset-thinking"] == "3000s"
    answer = ask(gateway, secret, reasoning_effort="high")
    assert refusal(answer) == ("insufficient_quota", "insufficient_quota", "3000", "false")
    assert "may take 128 thinking tokens; of 200 per hour, 72 are left" in answer.json()["error"]["message"]
    # Left to the gateway, or without a number, it takes what there is.
    headers = ask(gateway, secret, model="unrouted", reasoning_effort="max").headers
    assert headers["x-thinkgate-budget"] == "72" == str(backend.last["thinking_token_budget"])
    assert headers["x-thinkgate-note"] == "the key has 72 thinking tokens left for this hour"
    assert ask(gateway, secret, reasoning_effort="max").status_code == 429
    headers = ask(gateway, secret).headers
    assert headers["x-thinkgate-effort"] == "none" and "0 thinking tokens left" in headers["x-thinkgate-note"]
    assert ask(gateway, secret, model="unrouted", reasoning_effort="none").status_code == 200
    assert used(gateway, secret).hour_used == 200
    clock.now = NOON + 3600
    assert ask(gateway, secret, reasoning_effort="high").status_code == 200


def test_what_is_left_bounds_the_router_too(gateway: KeyedGateway, backend: ScriptedBackend) -> None:
    secret = gateway.key(thinking_per_day=50)
    for _ in range(6):
        assert ask(gateway, secret, model="merged", thinkgate={"dial": 1.0}).status_code == 200
    assert used(gateway, secret).day_used <= 50
    # A policy that asks nobody does not exceed it either.
    fixed = gateway.key(thinking_per_day=30)
    headers = ask(gateway, fixed, model="fixed").headers
    assert (
        headers["x-thinkgate-budget"] == "30"
        and "100 was decided, but the key allows no more than 30" in headers["x-thinkgate-note"]
    )


def test_the_day_lasts_longer_than_the_hour(gateway: KeyedGateway, clock: Clock) -> None:
    secret = gateway.key(thinking_per_hour=200, thinking_per_day=300)
    for _ in range(2):
        assert ask(gateway, secret, reasoning_effort="high").status_code in (200, 429)
        clock.now += 3600
        assert ask(gateway, secret, reasoning_effort="high").status_code in (200, 429)
    assert used(gateway, secret).day_used == 256
    answer = ask(gateway, secret, reasoning_effort="high")
    assert refusal(answer)[2:] == (str(86_400 - 2 * 3600), "false")
    assert ask(gateway, secret, reasoning_effort="low").status_code == 200


def test_more_than_there_ever_is_says_so(gateway: KeyedGateway) -> None:
    answer = ask(gateway, gateway.key(thinking_per_hour=100), reasoning_effort="high")
    assert "exceeds the key's whole quota" in answer.json()["error"]["message"]


@pytest.mark.parametrize("effort", ["high", "auto", "max"])
async def test_concurrent_requests_never_exceed_a_thinking_quota(
    gateway: KeyedGateway, backend: ScriptedBackend, effort: str
) -> None:
    secret = gateway.key(thinking_per_hour=1000)
    # Each request is refused or at the backend before the first is answered.
    settled, together = threading.Semaphore(0), threading.Event()

    async def slow(connection: Connection) -> None:
        settled.release()
        await asyncio.get_running_loop().run_in_executor(pool, together.wait, PATIENCE_S)
        await thorough(connection)

    backend.script = slow
    with ThreadPoolExecutor(50) as pool:
        client = gateway.async_client(secret)

        async def one() -> int:
            try:
                completion = await client.chat.completions.create(
                    model="merged", messages=MESSAGES, reasoning_effort=effort, extra_body={"thinkgate": {"dial": 1.0}}
                )
            except openai.RateLimitError:
                settled.release()
                return -1
            assert completion.usage and completion.usage.completion_tokens_details
            return completion.usage.completion_tokens_details.reasoning_tokens or 0

        asks = [asyncio.create_task(one()) for _ in range(50)]
        assert await asyncio.to_thread(lambda: all(settled.acquire(timeout=PATIENCE_S) for _ in range(50)))
        together.set()
        thoughts = await asyncio.gather(*asks)
        await client.close()
    spent = sum(thought for thought in thoughts if thought > 0)
    assert 800 < spent <= 1000
    after = used(gateway, secret)
    assert (after.hour_used, after.held_thinking, after.held_thinking) == (spent, 0, 0)
    assert (thoughts.count(-1) > 0) == (effort != "auto")


def test_while_others_run_the_wait_is_short(gateway: KeyedGateway, backend: ScriptedBackend) -> None:
    secret, finish, arrived = gateway.key(thinking_per_hour=130), threading.Event(), threading.Event()

    async def slow(connection: Connection) -> None:
        arrived.set()
        await asyncio.to_thread(finish.wait, PATIENCE_S)
        await connection.answer(200, httpx.Response(200, json=ANSWER).content)

    backend.script = slow
    running = threading.Thread(target=ask, args=(gateway, secret), kwargs={"reasoning_effort": "high"})
    running.start()
    assert arrived.wait(PATIENCE_S)
    answer = ask(gateway, secret, reasoning_effort="high")
    assert refusal(answer) == ("tokens", "rate_limit_exceeded", "1", None)
    assert "the rest is held by running requests of the key" in answer.json()["error"]["message"]
    finish.set()
    running.join()
    # The first has used 5, and given back the rest.
    assert used(gateway, secret).hour_used == 5
    assert ask(gateway, secret, thinking_token_budget=125).status_code == 200


@pytest.mark.parametrize("status", [500, 400, 429])
def test_what_failed_has_used_nothing(gateway: KeyedGateway, backend: ScriptedBackend, status: int) -> None:
    async def fail(connection: Connection) -> None:
        await connection.answer(status, b'{"error": {"message": "no"}}')

    backend.script = fail
    secret = gateway.key(thinking_per_hour=200, tokens_per_minute=100, dollars_per_day=10)
    assert ask(gateway, secret, reasoning_effort="high").status_code == status
    after = used(gateway, secret)
    assert (after.hour_used, after.held_thinking, after.tokens, after.requests) == (0, 0, 0, 1)
    assert abs(after.day_dollars) < 1e-12


def test_who_hangs_up_pays_for_what_came(gateway: KeyedGateway, backend: ScriptedBackend) -> None:
    async def endless(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.event(delta(reasoning="hm"))
        await connection.hung_up()

    backend.script = endless
    secret = gateway.key(thinking_per_hour=200)
    with gateway.client(secret) as client:
        stream = client.chat.completions.create(**ASK, reasoning_effort="high", stream=True)
        next(iter(stream))
        stream.close()
    assert backend.hang_ups.acquire(timeout=PATIENCE_S)
    gateway.stop()
    after = used(gateway, secret)
    assert (after.hour_used, after.tokens, after.held_thinking) == (1, after.all_prompt + 1, 0)


def test_a_stream_is_counted_by_what_it_says_at_its_end(gateway: KeyedGateway, backend: ScriptedBackend) -> None:
    backend.script = obedient
    secret = gateway.key(thinking_per_hour=200, tokens_per_minute=1000)
    with gateway.client(secret) as client:
        raw = client.chat.completions.with_raw_response.create(**ASK, reasoning_effort="high", stream=True)
        assert raw.headers["x-thinkgate-remaining-thinking"] == "72"
        assert not [chunk for chunk in raw.parse() if chunk.usage]
    after = used(gateway, secret)
    assert (after.hour_used, after.held_thinking, after.tokens) == (5, 0, 16)


def test_a_ceiling_refuses_what_is_named_above_it_and_bounds_the_rest(
    gateway: KeyedGateway, backend: ScriptedBackend
) -> None:
    for ceiling in ("low", 32):
        secret = gateway.key(ceiling=ceiling)
        answer = ask(gateway, secret, reasoning_effort="high")
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (403, "effort_not_allowed", "reasoning_effort")
        assert error["message"].endswith("It may use: none, low.")
        assert ask(gateway, secret, thinking_token_budget=33).status_code == 403
        assert ask(gateway, secret, reasoning_effort="max").status_code == 403
        assert backend.requests == []
        assert ask(gateway, secret, reasoning_effort="low").headers["x-thinkgate-budget"] == "32"
        # The default of this model is medium.
        assert ask(gateway, secret).headers["x-thinkgate-budget"] == "32"
        backend.requests.clear()
    # A policy that asks nobody is bounded too.
    headers = ask(gateway, gateway.key(ceiling=32), model="fixed").headers
    assert headers["x-thinkgate-budget"] == "32"
    assert headers["x-thinkgate-note"] == "100 was decided, but the key allows no more than 32"


def test_a_ceiling_and_a_quota_together(gateway: KeyedGateway) -> None:
    secret = gateway.key(ceiling="high", thinking_per_hour=100)
    assert ask(gateway, secret, reasoning_effort="high").status_code == 429
    assert ask(gateway, secret, reasoning_effort="medium").headers["x-thinkgate-remaining-thinking"] == "36"
    assert ask(gateway, secret).headers["x-thinkgate-budget"] == "36"


def test_an_arm_that_cannot_but_think_is_refused_when_nothing_is_left(
    backend: ScriptedBackend, tmp_path: Path, clock: Clock
) -> None:
    backend.script = thorough
    settings = table(backend.url)
    settings["models"]["thinker"] = {"think": "thinking", "policy": {"kind": "client", "default_effort": 40}}
    with KeyedGateway(settings, tmp_path, clock) as gateway:
        secret = gateway.key(thinking_per_hour=60)
        assert [ask(gateway, secret, model="thinker").status_code for _ in range(3)] == [200, 200, 429]
        assert used(gateway, secret).hour_used == 60


def test_each_choice_of_an_answer_counts(gateway: KeyedGateway, backend: ScriptedBackend) -> None:
    secret = gateway.key(thinking_per_hour=200)
    answer = ask(gateway, secret, reasoning_effort="medium", n=4)
    assert "may take 256 thinking tokens; of 200 per hour" in answer.json()["error"]["message"]
    assert backend.requests == []
    # Three choices share what is left.
    headers = ask(gateway, secret, model="unrouted", reasoning_effort="max", n=3).headers
    assert headers["x-thinkgate-budget"] == "66" == str(backend.last["thinking_token_budget"])


def test_spend_is_limited_by_day_and_month(gateway: KeyedGateway, clock: Clock) -> None:
    # One request is 7 prompt and 36 completion tokens: 0.00007 + 0.036 dollars. It might be 300.
    day, month = gateway.key(dollars_per_day=0.35), gateway.key(dollars_per_month=0.35)
    low: dict[str, Any] = {"reasoning_effort": "low", "max_tokens": 300}
    for secret in (day, month):
        assert [ask(gateway, secret, **low).status_code for _ in range(3)] == [200, 200, 429]
        answer = ask(gateway, secret, **low)
        assert "This request may cost 0.300" in answer.json()["error"]["message"]
    assert refusal(ask(gateway, day, **low)) == ("insufficient_quota", "insufficient_quota", "86400", "false")
    # What is left is enough for a shorter one.
    assert ask(gateway, day, **low | {"max_tokens": 270}).status_code == 200
    clock.now += 86_400
    assert ask(gateway, day, **low).status_code == 200 and ask(gateway, month, **low).status_code == 429
    clock.now += 31 * 86_400
    assert ask(gateway, month, **low).status_code == 200
    assert used(gateway, month).all_dollars == pytest.approx(3 * 0.03607)
    assert gateway.records()[0]["cost"] == pytest.approx(0.03607)


def test_a_cap_of_dollars_is_not_exceeded_by_many_at_once(
    gateway: KeyedGateway, clock: Clock, backend: ScriptedBackend
) -> None:
    together, arrived = threading.Event(), threading.Semaphore(0)

    async def slow(connection: Connection) -> None:
        arrived.release()
        await asyncio.to_thread(together.wait, PATIENCE_S)
        usage = {"prompt_tokens": 7, "completion_tokens": 5000}
        await connection.answer(200, httpx.Response(200, json={**ANSWER, "usage": usage}).content)

    backend.script = slow
    # Each costs 5 dollars.
    secret = gateway.key(dollars_per_day=6)
    with ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(ask, gateway, secret, model="plain-priced", max_tokens=5000) for _ in range(10)]
        assert arrived.acquire(timeout=PATIENCE_S)
        refused = ask(gateway, secret, model="plain-priced", max_tokens=5000)
        assert refusal(refused) == ("tokens", "rate_limit_exceeded", "1", None)
        together.set()
        assert sorted(answer.result().status_code for answer in answers) == [200] + [429] * 9
    assert used(gateway, secret).day_dollars == pytest.approx(5.00007)
    # It says what it takes to be let in again.
    answer = ask(gateway, secret, model="plain-priced", max_tokens=5000)
    assert (
        refusal(answer)[1] == "insufficient_quota" and "Use a smaller max_tokens" in answer.json()["error"]["message"]
    )
    # Without a limit it counts as 4,096 tokens, which is more than is left too.
    assert ask(gateway, secret, model="plain-priced").status_code == 429
    together.set()
    assert ask(gateway, secret, model="plain-priced", max_tokens=900).status_code == 200


def test_counts_survive_a_restart(backend: ScriptedBackend, tmp_path: Path, clock: Clock) -> None:
    backend.script = thorough
    with KeyedGateway(table(backend.url), tmp_path, clock) as first:
        secret = first.key(thinking_per_day=200)
        assert ask(first, secret, reasoning_effort="high").status_code == 200
    with KeyedGateway(table(backend.url), tmp_path, clock) as second:
        assert ask(second, secret, reasoning_effort="high").status_code == 429
        assert used(second, secret).all_requests == 1


def test_a_clock_that_jumps_locks_nobody_out(gateway: KeyedGateway, clock: Clock) -> None:
    secret = gateway.key(requests_per_minute=1, thinking_per_day=100)
    year = 365 * 86_400
    for jump in (0, year, -year, -2 * year, 2 * year):
        clock.now += jump
        assert ask(gateway, secret, reasoning_effort="low").status_code == 200
        assert ask(gateway, secret).status_code == 429
        assert used(gateway, secret).day_used == 32


def test_pass_through_models_are_counted_by_what_they_used(gateway: KeyedGateway) -> None:
    secret = gateway.key(thinking_per_hour=6000)
    assert ask(gateway, secret, model="plain").headers["x-thinkgate-remaining-thinking"] == "1000"
    assert ask(gateway, secret, model="plain").headers["x-thinkgate-remaining-thinking"] == "0"
    assert ask(gateway, secret, model="plain").status_code == 429


def test_without_limits_there_are_no_headers_about_them_but_counts(gateway: KeyedGateway) -> None:
    secret = gateway.key()
    headers = ask(gateway, secret, reasoning_effort="low").headers
    after = used(gateway, secret)
    assert (after.requests, after.all_requests, after.tokens, after.hour_used) == (1, 1, 43, 32)
    assert not [name for name in headers if "ratelimit" in name or "thinking" in name]
