"""Quotas hold what is expected, not the worst case: few requests wait, fewer are refused, and all of it can be used."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.auth.api_key_format import key_id
from gateway.auth.usage_row import UsageRow
from tests.gateway.conftest import table
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.scripted import ANSWER, Connection, ScriptedBackend, obedient
from tests.patience import PATIENCE_S, until

ASK: dict[str, Any] = {"model": "unrouted", "messages": [{"role": "user", "content": "hi"}]}


class Brief:
    """Thinks so many tokens where it may: each answer comes a moment later, so that requests overlap."""

    def __init__(self, thought: int) -> None:
        self.thought = thought

    async def __call__(self, connection: Connection) -> None:
        body = connection.request.body
        thinks = (body.get("chat_template_kwargs") or {}).get("enable_thinking", True)
        thought = min(self.thought, body.get("thinking_token_budget", self.thought)) if thinks else 0
        await asyncio.sleep(0.001)
        usage = {
            "prompt_tokens": 7,
            "completion_tokens": thought + 4,
            "completion_tokens_details": {"reasoning_tokens": thought},
        }
        await connection.answer(200, json.dumps({**ANSWER, "usage": usage}).encode())


class Gate:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.arrived, self.go = threading.Semaphore(0), threading.Semaphore(0)

    async def __call__(self, connection: Connection) -> None:
        self.arrived.release()
        await asyncio.to_thread(self.go.acquire, True, PATIENCE_S)
        await obedient(connection)


@pytest.fixture
def gateway(backend: ScriptedBackend, tmp_path: Path) -> Iterator[KeyedGateway]:
    """Requests wait for quotas for as long as a busy machine needs."""
    settings = {"quota_wait_s": PATIENCE_S, "longest_thought": 16_384}
    with KeyedGateway(table(backend.url), tmp_path, Clock(), **settings) as running:
        yield running


async def many(gateway: KeyedGateway, secret: str, count: int, at_once: int, **more: Any) -> list[httpx.Response]:
    async with gateway.async_http() as client:
        free = asyncio.Semaphore(at_once)

        async def one() -> httpx.Response:
            async with free:
                headers = {"authorization": f"Bearer {secret}"}
                return await client.post("/v1/chat/completions", json={**ASK, **more}, headers=headers)

        return await asyncio.gather(*[one() for _ in range(count)])


def used(gateway: KeyedGateway, secret: str) -> UsageRow:
    return gateway.keys.counters.read(gateway.keys.get(str(key_id(secret))).slot, gateway.keys.clock())


@pytest.mark.parametrize(("model", "effort"), [("unrouted", "max"), ("merged", "auto")])
async def test_nearly_all_of_a_quota_is_used_before_answers_are_degraded(
    gateway: KeyedGateway, backend: ScriptedBackend, model: str, effort: str
) -> None:
    """3,000 tokens a day, 8 requests at once, 25 tokens each: 120 answers fit; worst cases would fit few at a time."""
    backend.script = Brief(25)
    secret = gateway.key(thinking_per_day=3000)
    more = {"model": model, "thinkgate": {"dial": 1.0}} if effort == "auto" else {"reasoning_effort": effort}
    answers = await many(gateway, secret, 150, 8, **more)
    row = used(gateway, secret)
    rows = gateway.records()
    thoughts = [each["reasoning_tokens"] for each in rows if each["status"] == 200 and not each["degraded"]]
    assert sum(thoughts) > 0.95 * 3000 and row.day_used <= 1.1 * 3000
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} <= {429}
    if effort == "auto":  # who leaves it to the gateway gets an answer anyway, and is told
        assert not refused
        assert row.all_degraded == sum(bool(each["degraded"]) for each in rows) == 150 - len(thoughts) > 0
        degraded = next(each for each in rows if each["degraded"])
        assert "thinking tokens left for this day" in degraded["notes"]
        assert f'thinkgate_degraded_total{{model="merged"}} {row.all_degraded}' in gateway.parts.metrics.text().decode()
    assert not any(row.held)


async def test_requests_with_a_high_limit_and_short_thoughts_are_not_refused(
    gateway: KeyedGateway, backend: ScriptedBackend
) -> None:
    """200,000 tokens a day hold twelve worst cases of 16,384, and all of 128 requests that take 41."""
    backend.script = Brief(41)
    secret = gateway.key(thinking_per_day=200_000)
    answers = await many(gateway, secret, 128, 128, reasoning_effort="max")
    assert [answer.status_code for answer in answers] == [200] * 128
    row = used(gateway, secret)
    assert (row.day_used, row.all_degraded, any(row.held)) == (128 * 41, 0, False)


def test_what_is_reserved_is_what_recent_answers_took(gateway: KeyedGateway, backend: ScriptedBackend) -> None:
    """Named budgets, too: 128 tokens are held at worst, and 5 are expected once ten answers took 5."""
    secret, gate = gateway.key(thinking_per_hour=1000, overspend=0.5), Gate()
    for _ in range(10):
        assert ask(gateway, secret, reasoning_effort="high").status_code == 200
    backend.script = gate
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(ask, gateway, secret, reasoning_effort="high") for _ in range(8)]
        for _ in running:
            assert gate.arrived.acquire(timeout=PATIENCE_S)
        row = used(gateway, secret)
        assert (row.held_thinking, row.expected_thinking) == (8 * 128, 8 * 5)
        shown = gateway.keys.describe(gateway.keys.get(str(key_id(secret))))["usage"]["hour"]
        assert shown == {"thinking_tokens": 50, "thinking_tokens_held": 1024, "thinking_tokens_expected": 40}
        gate.go.release(8)
        answers = [each.result() for each in running]
    assert {answer.status_code for answer in answers} == {200}


def test_who_waits_is_served_in_order_and_who_hangs_up_leaves(gateway: KeyedGateway, backend: ScriptedBackend) -> None:
    gate, secret = Gate(), gateway.key(thinking_per_hour=200)
    backend.script = gate
    queues = gateway.parts.authenticator._metering.queues  # type: ignore[attr-defined]
    slot = gateway.keys.get(str(key_id(secret))).slot
    headers = {"authorization": f"Bearer {secret}"}
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask, gateway, secret, reasoning_effort="high")
        assert gate.arrived.acquire(timeout=PATIENCE_S)
        waiting = []
        for number in range(2):
            waiting.append(pool.submit(ask, gateway, secret, reasoning_effort="high", user=f"u{number}"))
            until(lambda wanted=number + 1: queues.length(slot) == wanted)  # type: ignore[misc]
            if not number:
                with gateway.leaving({**ASK, "reasoning_effort": "high"}, headers=headers):
                    until(lambda: queues.length(slot) == 2)
                until(lambda: queues.length(slot) == 1)
        assert len(backend.requests) == 1
        # What needs no thinking does not wait.
        gate.go.release()
        assert first.result().status_code == 200
        for each in waiting:
            assert gate.arrived.acquire(timeout=PATIENCE_S)
            gate.go.release()
            assert each.result().status_code == 200
    assert [request.body.get("user") for request in backend.requests] == [None, "u0", "u1"]
    assert queues.length(slot) == 0 and not any(used(gateway, secret).held)
    records = gateway.records()
    assert sum(bool(row["queued_ms"]) for row in records) >= 2 and 499 in {row["status"] for row in records}


def test_who_waits_in_vain_is_told_what_holds_the_rest(backend: ScriptedBackend, tmp_path: Path) -> None:
    gate = Gate()
    backend.script = gate
    with (
        KeyedGateway(table(backend.url), tmp_path, Clock(), quota_wait_s=0.05) as gateway,
        ThreadPoolExecutor() as pool,
    ):
        secret = gateway.key(thinking_per_hour=130)
        first = pool.submit(ask, gateway, secret, reasoning_effort="high")
        assert gate.arrived.acquire(timeout=PATIENCE_S)
        refused = ask(gateway, secret, reasoning_effort="high")
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], refused.headers["retry-after"]) == (429, "rate_limit_exceeded", "1")
        assert "held by running requests of the key" in error["message"]
        # It would not fit if nothing ran: it does not wait for that.
        assert (
            "exceeds the key's whole quota"
            in ask(gateway, secret, thinking_token_budget=500).json()["error"]["message"]
        )
        gate.go.release()
        assert first.result().status_code == 200


def test_dollars_are_never_exceeded_unless_the_operator_says_so(backend: ScriptedBackend, tmp_path: Path) -> None:
    """At 1,000 dollars for a million tokens, 300 tokens are 0.30 dollars at worst, and 0.009 as expected."""
    settings, gate = table(backend.url), Gate()
    settings["deployments"]["hybrid"] |= {"output_price": 1000.0}
    with KeyedGateway(settings, tmp_path, Clock()) as gateway, ThreadPoolExecutor() as pool:
        exact, loose = gateway.key(dollars_per_day=0.7), gateway.key(dollars_per_day=0.7, overspend_dollars=1.0)
        for secret in (exact, loose):
            backend.script = obedient
            for _ in range(10):
                assert ask(gateway, secret, reasoning_effort="low", max_tokens=300).status_code == 200
            backend.script = gate
            running = [
                pool.submit(ask, gateway, secret, reasoning_effort="low", max_tokens=300)
                for _ in range(4 if secret == loose else 2)
            ]
            for _ in running:
                assert gate.arrived.acquire(timeout=PATIENCE_S)
            refused = ask(gateway, secret, reasoning_effort="low", max_tokens=300)
            assert refused.status_code == 429 and "held by running requests" in refused.json()["error"]["message"]
            gate.go.release(len(running))
            assert {each.result().status_code for each in running} == {200}


def ask(gateway: KeyedGateway, secret: str, **more: Any) -> httpx.Response:
    return gateway.post({**ASK, **more}, headers={"authorization": f"Bearer {secret}"})
