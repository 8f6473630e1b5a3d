"""Every answer is checked against its budget: as reported, or as far as it can be counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.backends.reply import EnforcedBudget
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.core.usage import Usage
from gateway.execution.streaming.budget_check import BudgetCheck, check_budget
from gateway.execution.streaming.output_stats import OutputStats
from gateway.execution.streaming.tally import Tally
from tests.gateway.conftest import Start, table
from tests.gateway.scripted import ANSWER, Connection, ScriptedBackend, delta, usage_chunk

BUDGET = Effort(True, 100)


def _seen(thought: int, answer: int, pieces: int = 1) -> OutputStats:
    seen = OutputStats()
    seen.thought, seen.answer = Tally(pieces, thought), Tally(1, answer)
    return seen


@pytest.mark.parametrize(
    ("applied", "choices", "usage", "seen", "kept", "expected"),
    [
        (BUDGET, 1, Usage(7, 150, 100), _seen(0, 0), None, BudgetCheck(100, "reported", "within")),
        (BUDGET, 1, Usage(7, 150, 103), _seen(0, 0), None, BudgetCheck(103, "reported", "over", 3)),
        (BUDGET, 3, Usage(7, 450, 299), _seen(0, 0), None, BudgetCheck(299, "reported", "within")),
        (BUDGET, 3, Usage(7, 450, 304), _seen(0, 0), None, BudgetCheck(304, "reported", "over", 4)),
        (NO_THINKING, 1, Usage(7, 9, 5), _seen(0, 0), None, BudgetCheck(5, "reported", "over", 5)),
        (NO_THINKING, 1, Usage(7, 9), _seen(0, 40, 0), None, BudgetCheck(0, "counted", "within")),
        (UNLIMITED, 1, Usage(7, 900, 800), _seen(0, 0), None, BudgetCheck(800, "reported")),
        (None, 1, Usage(7, 900, 800), _seen(0, 0), None, BudgetCheck(800, "reported")),
        # Half of the characters, so half of the tokens: an estimate that proves nothing near the budget.
        (BUDGET, 1, Usage(7, 160), _seen(300, 300), None, BudgetCheck(80, "counted", "within")),
        (BUDGET, 1, Usage(7, 220), _seen(300, 300), None, BudgetCheck(110, "counted", "unknown")),
        (BUDGET, 1, Usage(7, 400), _seen(300, 300), None, BudgetCheck(200, "counted", "over", 100)),
        # Without any usage each piece of a thought is a token at least.
        (BUDGET, 1, Usage(), _seen(300, 300, 60), None, BudgetCheck(60, "counted", "unknown")),
        (BUDGET, 1, Usage(), _seen(300, 300, 101), None, BudgetCheck(101, "counted", "over", 1)),
        (BUDGET, 1, Usage(7, 150, 100), _seen(0, 0), EnforcedBudget(100), BudgetCheck(100, "counted", "within")),
        (
            BUDGET,
            1,
            Usage(7, 150, 100),
            _seen(0, 0),
            EnforcedBudget(100, cut=True),
            BudgetCheck(100, "counted", "over"),
        ),
    ],
)
def test_a_budget_and_what_was_used_of_it(
    applied: Effort | None,
    choices: int,
    usage: Usage,
    seen: OutputStats,
    kept: EnforcedBudget | None,
    expected: BudgetCheck,
) -> None:
    assert check_budget(applied, choices, usage, seen, kept) == expected


def test_nobody_can_tell_what_a_hidden_thought_used() -> None:
    assert check_budget(BUDGET, 1, Usage(7, 150), _seen(0, 20, 0), None, hidden=True) == BudgetCheck(verdict="unknown")


def _calling(arguments: str) -> dict[str, Any]:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}


@pytest.mark.parametrize(
    ("arguments", "after", "marked"),
    [
        ('{"a": 1}', '{"a": 1}', False),
        ('{"a": </think>1}', '{"a": 1}', True),
        ('{"a": "x</think>y"}', '{"a": "x</think>y"}', True),
        ('{"a": </think>', '{"a": </think>', True),
    ],
)
def test_a_mark_in_arguments_is_taken_out_where_that_mends_them(arguments: str, after: str, marked: bool) -> None:
    seen, body = OutputStats("</think>"), _calling(arguments)
    assert seen.whole(body) == (arguments != after)
    assert body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == after
    assert (seen.marked, seen.mended) == (marked, arguments != after)


def test_a_mark_in_arguments_is_mended_for_the_client_and_noted(backend: ScriptedBackend, start: Start) -> None:
    async def forced(connection: Connection) -> None:
        choice = {**_calling('{"a": </think>1}')["choices"][0], "finish_reason": "tool_calls"}
        await connection.answer(200, json.dumps({**ANSWER, "choices": [choice]}).encode())

    backend.script = forced
    gateway = start(table(backend.url))
    body = {"model": "fixed", "messages": [{"role": "user", "content": "hi"}], "include": ["thinkgate"]}
    answer = gateway.post(body).json()
    assert answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"a": 1}'
    assert answer["thinkgate"]["notes"] == ["an end-of-reasoning tag was removed from the arguments of a tool call"]
    (row,) = gateway.records()
    assert row["notes"] == answer["thinkgate"]["notes"][0]


def test_a_mark_in_the_arguments_of_a_stream_is_noted(backend: ScriptedBackend, start: Start) -> None:
    async def forced(connection: Connection) -> None:
        await connection.begin_stream()
        function = {"name": "f", "arguments": '{"a": "x</think>y"}'}
        await connection.event(delta(tool_calls=[{"index": 0, "id": "1", "type": "function", "function": function}]))
        await connection.event(delta("tool_calls"))
        await connection.event(usage_chunk())
        await connection.event("[DONE]")
        await connection.end_stream()

    backend.script = forced
    gateway = start(table(backend.url))
    body = {"model": "fixed", "messages": [{"role": "user", "content": "hi"}], "stream": True, "include": ["thinkgate"]}
    assert "the arguments of a tool call contain an end-of-reasoning tag" in gateway.post(body).text
    (row,) = gateway.records()
    assert row["notes"] == "the arguments of a tool call contain an end-of-reasoning tag"


def test_a_stream_without_usage_is_counted_by_its_pieces(backend: ScriptedBackend, start: Start) -> None:
    async def silent(connection: Connection) -> None:
        await connection.begin_stream()
        for _ in range(3):
            await connection.event(delta(reasoning="so "))
        await connection.event(delta(content="four"))
        await connection.event(delta("stop"))
        await connection.event("[DONE]")
        await connection.end_stream()

    backend.script = silent
    gateway = start(table(backend.url))
    assert gateway.post({"model": "fixed", "messages": [{"role": "user", "content": "hi"}], "stream": True}).is_success
    (row,) = gateway.records()
    assert [row[name] for name in ("used", "used_from", "verdict", "enforced")] == [3, "counted", "unknown", "native"]


def test_violations_are_counted_for_each_deployment(backend: ScriptedBackend, start: Start) -> None:
    async def boundless(connection: Connection) -> None:
        usage = {**usage_chunk()["usage"], "completion_tokens_details": {"reasoning_tokens": 109}}
        await connection.answer(200, json.dumps({**ANSWER, "usage": usage}).encode())

    backend.script = boundless
    gateway = start(table(backend.url))
    doubted: list[str] = []
    gateway.parts.capabilities.on_violation = doubted.append
    body = {"model": "fixed", "messages": [{"role": "user", "content": "hi"}], "include": ["thinkgate"]}
    accounts = [gateway.post(body).json()["thinkgate"] for _ in range(4)]
    assert [(one["used"], one["used_from"], one["verdict"]) for one in accounts] == [(109, "reported", "over")] * 4
    assert doubted == ["hybrid"]
    page = gateway.get("/metrics").text
    assert 'thinkgate_budget_answers_total{deployment="hybrid",verdict="over"} 4.0' in page
    assert 'thinkgate_budget_exceeded_tokens_total{deployment="hybrid"} 36.0' in page
    rows = gateway.records()
    assert [(row["applied"], row["used"], row["verdict"], row["exceeded"]) for row in rows] == [
        ("100", 109, "over", 9)
    ] * 4
