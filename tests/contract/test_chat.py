"""Chat completions, plain: the fields, where the thought is and where the answer, and how thinking is turned off."""

from __future__ import annotations

import pytest

from tests.contract.backend import MODEL, Backend
from tests.contract.prompts import NO_THINKING, SUM, long_thought, token_id


def test_the_fields_of_an_answer(backend: Backend) -> None:
    answer = backend.chat(SUM, max_tokens=200)
    assert answer["id"].startswith("chatcmpl-")
    assert (answer["object"], answer["model"]) == ("chat.completion", MODEL)
    assert isinstance(answer["created"], int)
    (choice,) = answer["choices"]
    assert {"index", "message", "logprobs", "finish_reason", "stop_reason", "token_ids"} <= set(choice)
    assert {"role", "content", "reasoning"} <= set(choice["message"])
    assert (choice["index"], choice["message"]["role"], choice["logprobs"]) == (0, "assistant", None)
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"]


def test_the_sdk_reads_it(backend: Backend) -> None:
    answer = backend.sdk.chat.completions.create(model=MODEL, messages=SUM, temperature=0, max_completion_tokens=200)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    raw = backend.sdk.chat.completions.with_raw_response.create(model=MODEL, messages=SUM, temperature=0)
    assert raw.parse().choices[0].message.content == answer.choices[0].message.content


async def test_the_asynchronous_sdk_reads_it(backend: Backend) -> None:
    async with backend.async_sdk() as client:
        answer = await client.chat.completions.create(model=MODEL, messages=SUM, temperature=0, reasoning_effort="none")
        stream = await client.chat.completions.create(
            model=MODEL, messages=SUM, temperature=0, reasoning_effort="none", stream=True
        )
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(pieces) == answer.choices[0].message.content


def test_a_thought_is_apart_from_its_answer(backend: Backend) -> None:
    answer = backend.chat(SUM, max_tokens=500, return_token_ids=True)
    (choice,) = answer["choices"]
    message, ids = choice["message"], choice["token_ids"]
    assert choice["finish_reason"] == "stop"
    assert message["reasoning"].strip()
    assert message["content"].strip()
    for mark in ("<think>", "</think>", "<|im_end|>"):
        assert mark not in message["reasoning"] + message["content"]
    opening, closing = (token_id(backend, mark) for mark in ("<think>", "</think>"))
    assert ids[0] == opening
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == ids.index(closing) - 1
    assert answer["usage"]["completion_tokens"] == len(ids)


@pytest.mark.parametrize(
    "fields",
    [
        NO_THINKING,
        {"reasoning_effort": "none"},
        {"reasoning_effort": "high", **NO_THINKING},
    ],
)
def test_thinking_can_be_turned_off(backend: Backend, fields: dict[str, object]) -> None:
    """The template's own switch wins over the effort."""
    answer = backend.chat(SUM, max_tokens=50, return_token_ids=True, **fields)
    message = answer["choices"][0]["message"]
    assert message["content"]
    assert message["reasoning"] is None
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
    ending = backend.ask("/tokenize", {"model": MODEL, "prompt": "<think>\n\n</think>\n\n"})["tokens"]
    assert answer["prompt_token_ids"][-len(ending) :] == ending


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh", "max", None])
def test_every_other_effort_thinks_alike(backend: Backend, effort: str | None) -> None:
    """An engine maps no effort to a budget: that is the gateway's work."""
    plain = backend.chat(SUM, max_tokens=40)
    assert backend.chat(SUM, max_tokens=40, reasoning_effort=effort)["choices"] == plain["choices"]


def test_the_template_switch_wins_over_effort_none(backend: Backend) -> None:
    thinking = {"chat_template_kwargs": {"enable_thinking": True}}
    answer = backend.chat(SUM, max_tokens=40, reasoning_effort="none", **thinking)
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


def test_a_thought_can_be_left_out_of_the_answer(backend: Backend) -> None:
    """It is made and counted all the same."""
    full = backend.chat(SUM, max_tokens=500)
    without = backend.chat(SUM, max_tokens=500, include_reasoning=False)
    assert without["choices"][0]["message"]["reasoning"] is None
    assert without["choices"][0]["message"]["content"] == full["choices"][0]["message"]["content"]
    assert without["usage"] == full["usage"]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_limit_within_the_thought_leaves_no_content(backend: Backend, field: str) -> None:
    answer = backend.chat(long_thought(), **{field: 8})
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"] is None
    assert choice["message"]["reasoning"]
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 7


def test_without_a_limit_the_context_is_the_limit(backend: Backend) -> None:
    """A long prompt and a banned end of turn show it."""
    end = token_id(backend, "<|im_end|>")
    prompt = [{"role": "user", "content": "1" * 1900}]
    answer = backend.chat(prompt, logit_bias={str(end): -100}, **NO_THINKING)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == 2048


def test_text_in_parts_is_text(backend: Backend) -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "12 + 35?"}]
    joined = [{"role": "user", "content": "What is\n12 + 35?"}]
    pair = [
        backend.chat(messages, max_tokens=4, return_token_ids=True, **NO_THINKING)["prompt_token_ids"]
        for messages in ([{"role": "user", "content": parts}], joined)
    ]
    assert pair[0] == pair[1]


def test_unknown_fields_are_ignored(backend: Backend) -> None:
    assert backend.chat(SUM, max_tokens=4, user="u", a_field_of_tomorrow=1, **NO_THINKING)["choices"]
