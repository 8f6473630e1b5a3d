"""Completions of a text or of token ids, plain and streamed, and going on from where a thought was cut."""

from __future__ import annotations

import pytest

from tests.contract.backend import MODEL, Backend
from tests.contract.prompts import NO_THINKING, SUM, long_thought, token_id


def _prompt_ids(backend: Backend, **fields: object) -> list[int]:
    ids: list[int] = backend.ask("/tokenize", {"model": MODEL, "messages": SUM, **fields})["tokens"]
    return ids


def test_the_fields_of_a_completion(backend: Backend) -> None:
    answer = backend.complete("What is", max_tokens=4)
    assert answer["id"].startswith("cmpl-")
    assert (answer["object"], answer["model"]) == ("text_completion", MODEL)
    (choice,) = answer["choices"]
    assert {"index", "text", "logprobs", "finish_reason", "stop_reason"} <= set(choice)
    usage = answer["usage"]
    assert usage["completion_tokens"] == 4
    assert usage["total_tokens"] == usage["prompt_tokens"] + 4


def test_a_text_and_its_token_ids_say_the_same(backend: Backend) -> None:
    ids = backend.ask("/tokenize", {"model": MODEL, "prompt": "What is 12 + 35?"})["tokens"]
    text, tokens = (backend.complete(p, max_tokens=8, return_token_ids=True) for p in ("What is 12 + 35?", ids))
    assert text["choices"][0]["text"] == tokens["choices"][0]["text"]
    assert text["choices"][0]["token_ids"] == tokens["choices"][0]["token_ids"]
    assert tokens["choices"][0]["prompt_token_ids"] == ids


def test_a_chat_from_its_token_ids(backend: Backend) -> None:
    """The same prompt, without a parser: the text has the marks of the thought."""
    chat = backend.chat(SUM, max_tokens=500, return_token_ids=True)
    raw = backend.complete(_prompt_ids(backend), max_tokens=500, return_token_ids=True)["choices"][0]
    assert raw["token_ids"] == chat["choices"][0]["token_ids"]
    message = chat["choices"][0]["message"]
    assert raw["text"] == f"<think>{message['reasoning']}</think>{message['content']}"


def test_going_on_from_a_cut_thought(backend: Backend) -> None:
    """Cut, close and go on: the same answer as with a budget."""
    budget = 9
    cut = backend.chat(long_thought(), max_tokens=budget + 1, return_token_ids=True)
    ids = [*cut["prompt_token_ids"], *cut["choices"][0]["token_ids"], token_id(backend, "</think>")]
    resumed = backend.complete(ids, max_tokens=60)["choices"][0]["text"]
    native = backend.chat(long_thought(), thinking_token_budget=budget, max_tokens=budget + 62)
    assert native["choices"][0]["message"]["content"] == resumed


def test_several_prompts(backend: Backend) -> None:
    answer = backend.complete(["What is", "Add 3 and"], max_tokens=3)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    alone = backend.complete("Add 3 and", max_tokens=3)
    assert answer["choices"][1]["text"] == alone["choices"][0]["text"]
    by_ids = backend.complete([[5, 6], [7]], max_tokens=2)
    assert by_ids["usage"]["prompt_tokens"] == 3


def test_sixteen_tokens_unless_told_otherwise(backend: Backend) -> None:
    answer = backend.complete(_prompt_ids(backend), logit_bias={str(token_id(backend, "<|im_end|>")): -100})
    assert answer["usage"]["completion_tokens"] == 16
    assert answer["choices"][0]["finish_reason"] == "length"


def test_a_streamed_completion(backend: Backend) -> None:
    body = {"model": MODEL, "prompt": _prompt_ids(backend, **NO_THINKING), "temperature": 0, "max_tokens": 20}
    options = {"stream": True, "stream_options": {"include_usage": True}, "return_token_ids": True}
    chunks = backend.chunks("/v1/completions", {**body, **options})
    plain = backend.ask("/v1/completions", {**body, "return_token_ids": True})
    pieces = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    assert "".join(piece["text"] for piece in pieces) == plain["choices"][0]["text"]
    assert [i for piece in pieces for i in piece["token_ids"]] == plain["choices"][0]["token_ids"]
    assert pieces[0]["prompt_token_ids"] == plain["choices"][0]["prompt_token_ids"]
    assert pieces[-1]["finish_reason"] == plain["choices"][0]["finish_reason"]
    assert chunks[-1]["usage"]["completion_tokens"] == plain["usage"]["completion_tokens"]


def test_logprobs_of_a_completion(backend: Backend) -> None:
    choice = backend.complete("What is", max_tokens=4, logprobs=2)["choices"][0]
    logprobs = choice["logprobs"]
    assert "".join(logprobs["tokens"]) == choice["text"]
    assert [len(best) for best in logprobs["top_logprobs"]] == [2] * 4
    assert logprobs["text_offset"][0] == 0
    for token, value, best in zip(*(logprobs[k] for k in ("tokens", "token_logprobs", "top_logprobs")), strict=True):
        assert best[token] == value == max(best.values())


def test_the_sdk_completes(backend: Backend) -> None:
    answer = backend.sdk.completions.create(model=MODEL, prompt=_prompt_ids(backend), temperature=0, max_tokens=5)
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].text.startswith("<think>")


@pytest.mark.parametrize("prompt", [None, "", [], [99_999], [-1], {"a": 1}, [5] * 3000])
def test_a_prompt_that_makes_no_sense_is_refused(backend: Backend, prompt: object) -> None:
    answer = backend.post("/v1/completions", {"model": MODEL, "prompt": prompt, "max_tokens": 2})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
