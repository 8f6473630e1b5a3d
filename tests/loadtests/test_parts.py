"""The parts of the load test that need no load."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from loadtests.answers import Broken, from_body, from_events
from loadtests.report import Sample, quantile, summarise, table
from loadtests.traffic import AGENT_TURNS, EFFORTS, Ask, Session, agent, batch, chat, mixed
from router_model.tasks import verify

USAGE = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}


def events(*chunks: Any) -> list[tuple[float, bytes]]:
    """A stream with an event every second."""
    texts = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    return [(float(second), f"data: {text}\n\n".encode()) for second, text in enumerate(texts)]


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}]}


def asks(sessions: Iterator[Session], n: int) -> list[Ask]:
    return [turn for session in islice(sessions, n) for turn in session.turns]


def test_traffic_is_the_same_for_the_same_seed_and_mixed() -> None:
    drawn = asks(mixed(["a", "b"], seed=3), 300)
    bodies = [ask.body() for ask in drawn]
    assert bodies == [ask.body() for ask in asks(mixed(["a", "b"], seed=3), 300)]
    assert {ask.prompt.kind for ask in drawn} == {"instruct", "reasoning"}
    assert {body["model"] for body in bodies} == {"a", "b"}
    assert {body.get("reasoning_effort") for body in bodies} == set(EFFORTS)
    assert 100 < sum(ask.stream for ask in drawn) < 200
    assert all(body.get("stream_options") == {"include_usage": True} for body in bodies if body.get("stream"))
    assert any(body.get("tools") for body in bodies)


def test_a_batch_is_plain_and_does_not_think() -> None:
    bodies = [ask.body() for ask in asks(batch(["a"], seed=1), 50)]
    assert {body["reasoning_effort"] for body in bodies} == {"none"}
    assert not any(body.get("stream") for body in bodies)


def test_a_chat_has_turns_under_one_name() -> None:
    for session in islice(chat(["a"], seed=1), 20):
        assert len(session.turns) > 1
        assert {turn.fields["metadata"]["conversation_id"] for turn in session.turns} == {session.id}
        later = [message["role"] for turn in session.turns[1:] for message in turn.messages]
        assert "system" not in later


def test_an_agent_calls_and_puts_results_into_words_over_one_history() -> None:
    (session,) = islice(agent(["a"], seed=1), 1)
    assert [turn.name for turn in session.turns] == ["call", "result"] * (AGENT_TURNS // 2)
    history: list[Any] = []
    for turn in session.turns:
        roles = [message["role"] for message in turn.body(history)["messages"]]
        assert roles[-1] == ("user" if turn.name == "call" else "tool")
        expected = turn.expected
        assert verify(turn.prompt, expected["content"], expected.get("tool_calls")) == 1.0
        history += [*turn.messages, expected]
    assert roles.count("tool") == AGENT_TURNS // 2


def test_a_plain_answer_is_read() -> None:
    answer = from_body(json.dumps({"choices": [{"message": {"content": "12"}}], "usage": USAGE}).encode())
    assert (answer.content, answer.completion_tokens, answer.thinking_tokens) == ("12", 9, 7)
    assert answer.first_token_s is None


def test_a_streamed_answer_is_read_and_timed() -> None:
    parts = events(
        delta(role="assistant", content=""),
        delta(reasoning="3+9"),
        delta(content="1"),
        delta(content="2"),
        {"choices": [], "usage": USAGE},
        "[DONE]",
    )
    answer = from_events(parts)
    assert (answer.content, answer.completion_tokens, answer.thinking_tokens) == ("12", 9, 7)
    assert (answer.first_token_s, answer.first_answer_s) == (1.0, 2.0)
    assert (answer.last_token_s, answer.longest_gap_s) == (3.0, 1.0)
    assert answer.token_gap_s == 2.0 / 8


def test_streamed_tool_calls_are_put_together() -> None:
    parts = events(
        delta(tool_calls=[{"index": 0, "id": "x", "function": {"name": "convert", "arguments": ""}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": " 1}"}}]),
        "[DONE]",
    )
    (call,) = from_events(parts).tool_calls
    assert call["function"] == {"name": "convert", "arguments": '{"a": 1}'}


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (events(delta(content="1")), r"without \[DONE\]"),
        (events(delta(content="1"), {"error": {"message": "backend gone"}}), "backend gone"),
    ],
)
def test_a_broken_stream_is_not_an_answer(parts: list[tuple[float, bytes]], why: str) -> None:
    with pytest.raises(Broken, match=why):
        from_events(parts)


def test_an_answer_without_usage_is_not_counted_as_one() -> None:
    with pytest.raises(Broken, match="usage"):
        from_body(b'{"choices": [{"message": {"content": "12"}}]}')


@pytest.mark.parametrize(("q", "expected"), [(0.0, 1.0), (0.5, 2.0), (0.51, 3.0), (0.95, 4.0), (1.0, 4.0)])
def test_quantiles_are_values_that_were_seen(q: float, expected: float) -> None:
    assert quantile([4.0, 1.0, 3.0, 2.0], q) == expected


def test_the_summary_counts_only_whole_answers() -> None:
    samples = [
        Sample("reasoning", "auto", "low", 2.0, score=1.0, thinking_tokens=30, completion_tokens=40, first_token_s=0.5),
        Sample("reasoning", "auto", "none", 1.0, score=0.0, completion_tokens=4),
        Sample("instruct", "none", "unknown", 9.0, error="502: backend gone"),
    ]
    summary = summarise(samples, seconds=2.0)
    assert summary["requests_per_s"] == 1.0
    assert summary["right_answers_per_s"] == 0.5
    assert summary["thinking_tokens_per_s"] == 15.0
    assert summary["completion_tokens_per_s"] == 22.0
    assert summary["errors"] == {"502: backend gone": 1}
    failed, served = summary["rows"]
    assert (failed["failed"], failed["accuracy"], failed["latency_p50_s"]) == (1, None, None)
    assert (served["accuracy"], served["thinking_tokens"], served["ttft_p50_s"]) == (0.5, 15.0, 0.5)
    assert served["applied"] == {"low": 1, "none": 1}
    text = table(summary)
    assert "1 times: 502: backend gone" in text
    assert len({len(line) for line in text.splitlines()[:5]}) == 1
    assert json.loads(json.dumps(summary)) == summary


def test_those_who_hung_up_on_purpose_are_counted_apart() -> None:
    left = Sample("reasoning", "auto", "unknown", 0.1, left=True)
    whole = Sample("reasoning", "auto", "low", 1.0, score=1.0)
    summary = summarise([left, whole], seconds=1.0)
    assert (summary["hung_up"], summary["total"]["requests"], summary["requests_per_s"]) == (1, 1, 1.0)
    assert "1 hung up on purpose" in table(summary)


def test_no_answers_are_a_summary_too() -> None:
    assert "0.0 requests" in table(summarise([], seconds=1.0))
