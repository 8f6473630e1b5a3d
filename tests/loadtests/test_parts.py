"""The parts of the load test that need no load."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest

from loadtests.answers import Broken, from_body, from_events
from loadtests.report import Sample, quantile, summarise, table
from loadtests.traffic import EFFORTS, mixed

USAGE = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}


def events(*chunks: Any) -> list[tuple[float, bytes]]:
    """A stream with an event every second."""
    texts = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    return [(float(second), f"data: {text}\n\n".encode()) for second, text in enumerate(texts)]


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}]}


def test_traffic_is_the_same_for_the_same_seed_and_mixed() -> None:
    asks = list(mixed(["a", "b"], seed=3, n=300))
    assert [ask.body for ask in asks] == [ask.body for ask in mixed(["a", "b"], seed=3, n=300)]
    assert {ask.prompt.kind for ask in asks} == {"instruct", "reasoning"}
    assert {ask.body["model"] for ask in asks} == {"a", "b"}
    assert {ask.body.get("reasoning_effort") for ask in asks} == set(EFFORTS)
    assert 100 < sum(ask.stream for ask in asks) < 200
    assert all(ask.body.get("stream_options") == {"include_usage": True} for ask in asks if ask.stream)
    assert any(ask.body.get("tools") for ask in asks)


def test_traffic_is_drawn_as_it_is_sent() -> None:
    assert len(list(islice(mixed(["a"], seed=1, n=10**9), 5))) == 5


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


def test_no_answers_are_a_summary_too() -> None:
    assert "0.0 requests" in table(summarise([], seconds=1.0))
