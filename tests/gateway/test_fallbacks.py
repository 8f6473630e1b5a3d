"""Deployments that stand in for others: when, with which effort, and what the client and the record are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.backends.replicas import FAILURES
from tests.gateway.conftest import Start, table
from tests.gateway.refusing import refusing
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, Script, ScriptedBackend

ASK: dict[str, Any] = {
    "model": "merged",
    "messages": [{"role": "user", "content": "hi"}],
    "reasoning_effort": "low",
}


@pytest.fixture
def spare() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as running:
        yield running


def gateway(start: Start, first: str, spare: ScriptedBackend, family: str = "qwen3", **fields: Any) -> RunningGateway:
    chosen = table(first)
    chosen["deployments"]["hybrid"] |= {"fallback": ["spare"], **fields}
    chosen["deployments"]["spare"] = {"url": spare.url, "model": "backend-model", "family": family}
    return start(chosen)


def refuse(status: int, **headers: str) -> Script:
    async def script(connection: Connection) -> None:
        body = {"error": {"message": "no", "type": "t", "code": "c"}}
        await connection.answer(status, json.dumps(body).encode(), {k.replace("_", "-"): v for k, v in headers.items()})

    return script


async def reset(connection: Connection) -> None:
    connection.cut()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "script", [refuse(429, retry_after="9"), refuse(500), refuse(502), refuse(503), refuse(504), reset]
)
def test_another_deployment_stands_in(
    backend: ScriptedBackend, spare: ScriptedBackend, start: Start, script: Script, stream: bool
) -> None:
    backend.script = script
    served = gateway(start, backend.url, spare)
    answer = served.post({**ASK, "stream": stream})
    assert answer.status_code == 200 and "four" in answer.text
    assert "deployment hybrid could not answer (" in answer.headers["x-thinkgate-note"]
    assert answer.headers["x-thinkgate-note"].endswith("used the fallback spare")
    assert answer.headers["x-thinkgate-effort"] == "low"
    assert spare.last["thinking_token_budget"] == 32 == backend.last["thinking_token_budget"]
    assert 'thinkgate_fallbacks_total{deployment="hybrid"} 1.0' in served.get("/metrics").text
    admission = served.parts.dispatch.admission
    pace = served.parts.latencies["hybrid"]
    assert pace.answer_s == pace.seconds(256), "nothing was learnt from what failed"
    assert admission["hybrid"].in_flight == admission["spare"].in_flight == 0
    (row,) = served.records()
    assert (row["deployment"], row["applied"], row["status"]) == ("spare", "32", 200)


def test_one_that_cannot_be_reached_is_left_alone_while_another_stands_in(spare: ScriptedBackend, start: Start) -> None:
    with refusing() as nowhere:
        served = gateway(start, nowhere, spare)
        notes = [served.post(ASK).headers["x-thinkgate-note"] for _ in range(6)]
    assert all("(backend_unreachable)" in note for note in notes)
    assert len(spare.requests) == 6


def test_one_that_keeps_failing_is_left_alone_for_a_while(
    backend: ScriptedBackend, spare: ScriptedBackend, start: Start
) -> None:
    backend.script = refuse(503)
    served = gateway(start, backend.url, spare)
    served.stop_clock_of_breaks()
    assert [served.post(ASK).status_code for _ in range(6)] == [200] * 6
    assert (len(backend.requests), len(spare.requests)) == (FAILURES, 6)


@pytest.mark.parametrize(
    ("script", "status"),
    [(refuse(400), 400), (refuse(404), 404), (refuse(422), 422), (refuse(503, x_should_retry="false"), 503)],
)
def test_what_the_client_must_mend_is_asked_nowhere_else(
    backend: ScriptedBackend, spare: ScriptedBackend, start: Start, script: Script, status: int
) -> None:
    backend.script = script
    assert gateway(start, backend.url, spare).post(ASK).status_code == status
    assert spare.requests == []


def test_the_effort_is_told_in_the_other_family_s_words(
    backend: ScriptedBackend, spare: ScriptedBackend, start: Start
) -> None:
    backend.script = refuse(503)
    served = gateway(start, backend.url, spare, family="plain")
    answer = served.post({**ASK, "max_tokens": 270})
    note = answer.headers["x-thinkgate-note"]
    assert "budget cut from 32 to 14" in note and "family plain has no effort control" in note
    assert spare.last["reasoning_effort"] == "low" and "thinking_token_budget" not in spare.last
    assert answer.headers["x-thinkgate-effort"] == "unknown"


def test_a_client_that_tries_again_gets_the_fallback_too(
    backend: ScriptedBackend, spare: ScriptedBackend, start: Start
) -> None:
    backend.script = refuse(503)
    served = gateway(start, backend.url, spare)
    assert served.post(ASK, headers={"x-stainless-retry-count": "1"}).status_code == 200


def test_one_that_is_full_is_stood_in_for(backend: ScriptedBackend, spare: ScriptedBackend, start: Start) -> None:
    served = gateway(start, backend.url, spare, max_in_flight=1, max_queue=0)
    assert served.parts.dispatch.admission["hybrid"].try_enter(batch=False)
    answer = served.post(ASK)
    assert answer.status_code == 200 and "(overloaded)" in answer.headers["x-thinkgate-note"]
    assert backend.requests == []


def test_when_nobody_can_answer_the_last_one_s_words_are_told(
    backend: ScriptedBackend, spare: ScriptedBackend, start: Start
) -> None:
    backend.script, spare.script = refuse(503), refuse(429, retry_after="7")
    served = gateway(start, backend.url, spare)
    answer = served.post(ASK)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    (row,) = served.records()
    assert (row["deployment"], row["status"]) == ("spare", 429)
