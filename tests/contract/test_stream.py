"""Chat completions as a stream: the order of the deltas, usage at the end, and the same text as without streaming."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.backend import MODEL, Backend
from tests.contract.prompts import NO_THINKING, SUM, long_thought


def _text(chunks: list[dict[str, Any]], field: str, index: int = 0) -> str | None:
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get(field) or "" for choice in choices) or None


def test_the_order_of_the_deltas(backend: Backend) -> None:
    """Role, then thought, then answer, then the reason to finish: never back."""
    chunks = backend.chat_chunks(SUM, max_tokens=500)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    first, *middle, last = [chunk["choices"][0] for chunk in chunks]
    assert first["delta"] == {"role": "assistant", "content": ""}
    kinds = ["reasoning" if choice["delta"].get("reasoning") else "content" for choice in middle if choice["delta"]]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"reasoning", "content"}
    assert last["finish_reason"] == "stop"
    assert all(choice["finish_reason"] is None for choice in (first, *middle))


@pytest.mark.parametrize("fields", [{"max_tokens": 500}, {"max_tokens": 8}, {"thinking_token_budget": 5}, NO_THINKING])
def test_a_stream_says_what_the_plain_answer_says(backend: Backend, fields: dict[str, Any]) -> None:
    plain = backend.chat(long_thought(), **fields)["choices"][0]
    chunks = backend.chat_chunks(long_thought(), **fields)
    assert _text(chunks, "reasoning") == plain["message"]["reasoning"]
    assert _text(chunks, "content") == plain["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == plain["finish_reason"]


def test_usage_comes_last_when_asked_for(backend: Backend) -> None:
    plain = backend.chat(SUM, max_tokens=500)["usage"]
    chunks = backend.chat_chunks(SUM, max_tokens=500, stream_options={"include_usage": True})
    assert chunks[-1]["choices"] == []
    said = chunks[-1]["usage"]
    for field in ("prompt_tokens", "completion_tokens", "total_tokens", "completion_tokens_details"):
        assert said[field] == plain[field]
    assert all(chunk.get("usage") is None for chunk in chunks[:-1])


def test_without_asking_there_is_no_usage(backend: Backend) -> None:
    assert all(chunk.get("usage") is None for chunk in backend.chat_chunks(SUM, max_tokens=8))


def test_usage_can_come_with_every_chunk(backend: Backend) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = backend.chat_chunks(SUM, max_tokens=500, stream_options=options)
    spent = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    thought = [chunk["usage"]["completion_tokens_details"]["reasoning_tokens"] for chunk in chunks]
    assert spent == sorted(spent)
    assert thought == sorted(thought)
    assert (spent[0], thought[0]) == (0, 0)
    assert spent[-1] > thought[-1] > 0


def test_a_thought_can_be_left_out_of_a_stream(backend: Backend) -> None:
    chunks = backend.chat_chunks(SUM, max_tokens=500, include_reasoning=False)
    assert _text(chunks, "reasoning") is None
    assert _text(chunks, "content") == backend.chat(SUM, max_tokens=500)["choices"][0]["message"]["content"]


def test_token_ids_in_a_stream(backend: Backend) -> None:
    plain = backend.chat(SUM, max_tokens=30, return_token_ids=True)
    chunks = backend.chat_chunks(SUM, max_tokens=30, return_token_ids=True)
    assert chunks[0]["prompt_token_ids"] == plain["prompt_token_ids"]
    ids = [number for chunk in chunks for number in chunk["choices"][0].get("token_ids") or ()]
    # A delta without text is not sent, so the ids of <think> and </think> may be missing: all others come, in order.
    missing = [number for number in plain["choices"][0]["token_ids"] if number not in ids]
    assert ids == [number for number in plain["choices"][0]["token_ids"] if number not in missing]
    assert len(missing) <= 2


def test_logprobs_in_a_stream(backend: Backend) -> None:
    chunks = backend.chat_chunks(SUM, max_tokens=10, logprobs=True, top_logprobs=2, **NO_THINKING)
    entries = [entry for chunk in chunks for entry in (chunk["choices"][0]["logprobs"] or {"content": []})["content"]]
    plain = backend.chat(SUM, max_tokens=10, logprobs=True, top_logprobs=2, **NO_THINKING)
    assert [entry["token"] for entry in entries] == [e["token"] for e in plain["choices"][0]["logprobs"]["content"]]
    assert all(len(entry["top_logprobs"]) == 2 for entry in entries)


def test_several_answers_in_one_stream(backend: Backend) -> None:
    sampling = {"n": 2, "temperature": 1, "seed": 7, "max_tokens": 6, **NO_THINKING}
    chunks = backend.chat_chunks(SUM, **sampling)
    assert {choice["index"] for chunk in chunks for choice in chunk["choices"]} == {0, 1}
    finished = [c["index"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]]
    assert sorted(finished) == [0, 1]
    plain = backend.chat(SUM, **sampling)["choices"]
    assert [_text(chunks, "content", i) for i in (0, 1)] == [choice["message"]["content"] for choice in plain]


def test_the_sdk_reads_a_stream(backend: Backend) -> None:
    stream = backend.sdk.chat.completions.create(
        model=MODEL, messages=SUM, temperature=0, max_tokens=500, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    thought = "".join(getattr(chunk.choices[0].delta, "reasoning", None) or "" for chunk in chunks if chunk.choices)
    assert text.strip()
    assert thought.strip()
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
