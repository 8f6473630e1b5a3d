"""Budgets at backends that neither keep them nor tell token ids: the answer is cut where the budget ends."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.capabilities import Capability
from tests.contract.prompts import prompts
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, ScriptedBackend, delta, usage_chunk
from tests.gateway.test_two_phase import FAMILIES, POLICY, until_known
from tests.patience import PATIENCE_S

HI = [{"role": "user", "content": "hi"}]


@pytest.fixture
def cutting(backend: ScriptedBackend, start: Start) -> RunningGateway:
    gateway = start(table(backend.url))
    gateway.parts.capabilities.learn("hybrid", Capability("cut"))
    return gateway


def _choice(index: int, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    chunk = delta(reason, **fields)
    chunk["choices"][0]["index"] = index
    return chunk


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]


@pytest.mark.parametrize("stream", [False, True])
def test_the_backend_is_hung_up_on_where_the_budget_ends(
    cutting: RunningGateway, backend: ScriptedBackend, stream: bool
) -> None:
    left = threading.Event()

    async def endless(connection: Connection) -> None:
        try:
            await connection.begin_stream()
            await connection.event(delta(role="assistant", content=""))
            for number in range(5):
                await connection.event(delta(reasoning=f"t{number} "))
            await connection.hung_up()
        finally:
            left.set()  # it may be hung up on before the last piece

    backend.script = endless
    body = {"model": "merged", "messages": HI, "thinking_token_budget": 3, "stream": stream, "include": ["thinkgate"]}
    answer = cutting.post(body)
    assert left.wait(PATIENCE_S)
    if stream:
        assert answer.text.endswith("data: [DONE]\n\n")
        events = _events(answer.text)
        choices = [choice for event in events for choice in event["choices"]]
        thought = "".join(choice["delta"].get("reasoning") or "" for choice in choices)
        (reason,) = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
        account = events[-1]["thinkgate"]
    else:
        (choice,) = answer.json()["choices"]
        thought, reason, account = choice["message"]["reasoning"], choice["finish_reason"], answer.json()["thinkgate"]
    assert (thought, reason) == ("t0 t1 t2 ", "length")
    assert (account["used"], account["used_from"], account["verdict"]) == (3, "counted", "over")
    sent = backend.last
    assert "thinking_token_budget" not in sent
    assert sent["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    # A stream's headers are sent before anybody knows.
    assert ("truncated there" in answer.headers.get("x-thinkgate-note", "")) == (not stream)
    (row,) = cutting.records()
    assert (row["status"], row["enforced"], row["used"], row["verdict"]) == (200, "cut", 3, "over")
    assert row["notes"] == "the reasoning exceeded its budget: the answer was truncated there"
    assert row["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [False, True])
def test_a_thought_that_ends_in_time_is_not_touched(
    cutting: RunningGateway, backend: ScriptedBackend, stream: bool
) -> None:
    async def brief(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.event(delta(role="assistant", content=""))
        await connection.event(delta(reasoning_content="so"))
        await connection.event(delta(reasoning_content=" so"))
        for _ in range(9):
            await connection.event(delta(content="four "))
        await connection.event(delta("stop"))
        usage = {name: value for name, value in usage_chunk()["usage"].items() if name != "completion_tokens_details"}
        await connection.event({**usage_chunk(), "usage": usage})
        await connection.event("[DONE]")
        await connection.end_stream()

    backend.script = brief
    options = {"stream_options": {"include_usage": True}} if stream else {}
    answer = cutting.post({"model": "merged", "messages": HI, "thinking_token_budget": 2, "stream": stream, **options})
    if stream:
        events = _events(answer.text)
        content = "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
        usage = events[-1]["usage"]
    else:
        message, usage = answer.json()["choices"][0]["message"], answer.json()["usage"]
        assert message == {"role": "assistant", "content": "four " * 9, "reasoning_content": "so so"}
        content = message["content"]
    assert content == "four " * 9
    # The backend did not count them: the gateway did.
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 2}
    (row,) = cutting.records()
    assert (row["used"], row["used_from"], row["verdict"], row["finish_reason"]) == (2, "counted", "within", "stop")


def test_of_several_choices_only_those_that_exceed_are_cut(cutting: RunningGateway, backend: ScriptedBackend) -> None:
    async def two(connection: Connection) -> None:
        await connection.begin_stream()
        for number in range(4):
            await connection.event(_choice(0, reasoning=f"t{number} "))
        await connection.event(_choice(1, reasoning="so "))
        await connection.event(_choice(1, content="four"))
        await connection.event(_choice(0, content="never seen"))
        await connection.event(_choice(1, "stop"))
        await connection.hung_up()

    backend.script = two
    answer = cutting.post({"model": "merged", "messages": HI, "thinking_token_budget": 2, "n": 2}).json()
    first, second = answer["choices"]
    assert (first["message"]["reasoning"], first["message"]["content"], first["finish_reason"]) == (
        "t0 t1 ",
        None,
        "length",
    )
    assert (second["message"]["content"], second["finish_reason"]) == ("four", "stop")
    (row,) = cutting.records()
    assert (row["used"], row["verdict"]) == (3, "over")


def test_what_the_backend_counts_as_it_goes_counts(cutting: RunningGateway, backend: ScriptedBackend) -> None:
    """Pieces may be several tokens each."""

    async def counting(connection: Connection) -> None:
        await connection.begin_stream()
        for spent in (4, 8, 12):
            usage = {"prompt_tokens": 7, "completion_tokens": spent + 1, "total_tokens": spent + 8}
            usage["completion_tokens_details"] = {"reasoning_tokens": spent}  # type: ignore[assignment]
            await connection.event({**delta(reasoning="t " * 4), "usage": usage})
        await connection.hung_up()

    backend.script = counting
    answer = cutting.post({"model": "merged", "messages": HI, "thinking_token_budget": 9}).json()
    assert answer["choices"][0]["message"]["reasoning"] == "t " * 8
    assert answer["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 9,
        "total_tokens": 16,
        "completion_tokens_details": {"reasoning_tokens": 8},
    }


def test_a_stream_that_breaks_before_its_budget_is_an_error(cutting: RunningGateway, backend: ScriptedBackend) -> None:
    async def breaking(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.event(delta(reasoning="so "))
        connection.cut()

    backend.script = breaking
    answer = cutting.post({"model": "merged", "messages": HI, "thinking_token_budget": 9})
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "stream_cut"


@pytest.mark.parametrize("requests", [40, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("budgets", ["ignored", "refused"])
async def test_no_budget_is_exceeded_whatever_a_request_asks_for(
    budgets: str, requests: int, limitless: Callable[[str], str], tmp_path: Path
) -> None:
    """Random requests at an engine without budgets of its own: what can be joined is, the rest is cut."""
    rng = random.Random(7)
    tasks = [prompt.messages for prompt in prompts() if prompt.kind == "reasoning"]
    url = limitless(budgets)
    settings = {
        "deployments": {name: {"url": url, "family": family, "verify": True} for name, family in FAMILIES.items()},
        "models": {
            "merged": {"deployment": "tiny", "policy": POLICY},
            "thinking": {"think": "tiny-thinking", "policy": POLICY},
        },
    }
    with RunningGateway(settings, tmp_path) as gateway:
        for name in FAMILIES:
            until_known(gateway, name)
        async with gateway.async_sdk() as client:
            for _ in range(requests):
                fields: dict[str, Any] = rng.choice(
                    [{}, {"n": 2}, {"logprobs": True}, {"tools": [{"type": "function", "function": {"name": "f"}}]}]
                )
                answer = await client.chat.completions.create(
                    model=rng.choice(["merged", "thinking"]),
                    messages=rng.choice(tasks),
                    max_tokens=rng.choice([None, 300, 600]),
                    temperature=rng.choice([0.5, 1.0]),
                    stream=rng.random() < 0.5,
                    **fields,
                    extra_body={"thinking_token_budget": rng.choice([1, 2, 3, 8, 20, 60, 150])},
                )
                if not hasattr(answer, "choices"):
                    async for _chunk in answer:
                        pass
        rows = gateway.records()
    assert len(rows) == requests
    assert {row["status"] for row in rows} == {200}
    assert all(row["used"] <= int(row["applied"]) * 2 for row in rows)
    assert {(row["enforced"], row["verdict"]) for row in rows} <= {
        ("two-phase", "within"),
        ("cut", "within"),
        ("cut", "over"),
    }
    assert all(row["used"] <= int(row["applied"]) for row in rows if row["enforced"] == "two-phase")
    assert {row["enforced"] for row in rows} == {"two-phase", "cut"}
    assert all(row["requested"] and row["decided"] for row in rows)
