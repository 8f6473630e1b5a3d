"""Sampling, stopping and log-probabilities."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.contract.backend import Backend
from tests.contract.prompts import NO_THINKING, SUM, long_thought, token_id

# Far from all that the tiny model knows, so that it wavers and sampling shows.
UNHEARD_OF = [{"role": "user", "content": "Sing, goddess, of the wrath"}]


def _contents(answer: dict[str, Any]) -> list[str | None]:
    return [choice["message"]["content"] for choice in answer["choices"]]


def test_a_seed_repeats_an_answer(backend: Backend) -> None:
    sampling = {"temperature": 2, "max_tokens": 24, **NO_THINKING}
    first, second, other = (backend.chat(UNHEARD_OF, seed=seed, **sampling)["choices"] for seed in (7, 7, 8))
    assert first == second
    assert first != other


def test_several_answers(backend: Backend) -> None:
    answer = backend.chat(UNHEARD_OF, n=4, temperature=2, seed=3, max_tokens=12, **NO_THINKING)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert len(set(_contents(answer))) > 1
    assert answer["usage"]["completion_tokens"] <= 4 * 12
    prompt = backend.chat(UNHEARD_OF, max_tokens=1, **NO_THINKING)["usage"]["prompt_tokens"]
    assert answer["usage"]["prompt_tokens"] == prompt


def test_several_greedy_answers_make_no_sense(backend: Backend) -> None:
    assert backend.refuse(SUM, n=2).status_code == 400


def test_a_small_nucleus_is_greedy(backend: Backend) -> None:
    greedy = backend.chat(SUM, max_tokens=20)["choices"]
    assert backend.chat(SUM, temperature=1, top_p=1e-6, max_tokens=20)["choices"] == greedy
    assert backend.chat(SUM, temperature=1, top_k=1, max_tokens=20)["choices"] == greedy


def test_the_model_folder_sets_the_default(backend: Backend) -> None:
    """Its generation_config.json says: greedy."""
    greedy = backend.chat(SUM, max_tokens=20)["choices"]
    assert backend.chat(SUM, temperature=None, max_tokens=20)["choices"] == greedy


@pytest.mark.parametrize("form", ["text", "list"])
def test_a_stop_string_ends_an_answer_and_is_not_part_of_it(backend: Backend, form: str) -> None:
    whole = backend.chat(SUM, **NO_THINKING)["choices"][0]["message"]["content"]
    mark = whole[-1]
    (choice,) = backend.chat(SUM, stop=mark if form == "text" else ["§", mark], **NO_THINKING)["choices"]
    assert choice["message"]["content"] == whole.split(mark, 1)[0]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", mark)


def test_a_stop_string_ends_a_thought(backend: Backend) -> None:
    thought = backend.chat(long_thought(), max_tokens=30)["choices"][0]["message"]["reasoning"]
    mark = thought[len(thought) // 2]
    (choice,) = backend.chat(long_thought(), stop=[mark], max_tokens=30)["choices"]
    assert choice["message"]["reasoning"] in (thought.split(mark, 1)[0], None)
    assert choice["message"]["content"] is None
    assert choice["stop_reason"] == mark


def test_a_stop_string_may_be_kept(backend: Backend) -> None:
    whole = backend.chat(SUM, **NO_THINKING)["choices"][0]["message"]["content"]
    (choice,) = backend.chat(SUM, stop=[whole[-1]], include_stop_str_in_output=True, **NO_THINKING)["choices"]
    assert choice["message"]["content"] == whole.split(whole[-1], 1)[0] + whole[-1]


def test_a_stop_token(backend: Backend) -> None:
    """The gateway cuts a thought like this where a backend knows no budget."""
    closing = token_id(backend, "</think>")
    answer = backend.chat(SUM, stop_token_ids=[closing], max_tokens=500, return_token_ids=True)
    (choice,) = answer["choices"]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", closing)
    assert choice["token_ids"][-1] == closing
    assert choice["message"]["content"] is None
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == len(choice["token_ids"]) - 2


def test_logprobs_cover_thought_and_answer(backend: Backend) -> None:
    answer = backend.chat(SUM, max_tokens=500, logprobs=True, top_logprobs=3, return_token_ids=True)
    (choice,) = answer["choices"]
    entries = choice["logprobs"]["content"]
    assert len(entries) == len(choice["token_ids"]) == answer["usage"]["completion_tokens"]
    tokens = [entry["token"] for entry in entries]
    assert (tokens[0], tokens[-1]) == ("<think>", "<|im_end|>")
    assert "</think>" in tokens
    for entry in entries:
        assert set(entry) == {"token", "logprob", "bytes", "top_logprobs"}
        assert bytes(entry["bytes"]).decode() == entry["token"]
        assert entry["logprob"] <= 0
        best = entry["top_logprobs"]
        assert len(best) == 3
        assert best[0]["token"] == entry["token"]
        assert [b["logprob"] for b in best] == sorted((b["logprob"] for b in best), reverse=True)
        assert sum(math.exp(b["logprob"]) for b in best) <= 1.001


def test_logprobs_without_alternatives(backend: Backend) -> None:
    entries = backend.chat(SUM, max_tokens=3, logprobs=True, **NO_THINKING)["choices"][0]["logprobs"]["content"]
    assert all(entry["top_logprobs"] == [] for entry in entries)


def test_logprobs_of_a_forced_token_are_the_models_own(backend: Backend) -> None:
    """A budget forces </think>; its log-probability still says what the model thought of it."""
    answer = backend.chat(long_thought(), thinking_token_budget=2, max_tokens=8, logprobs=True, top_logprobs=1)
    forced = answer["choices"][0]["logprobs"]["content"][3]
    assert forced["token"] == "</think>"
    assert forced["logprob"] < -0.01


def test_a_bias_moves_a_token(backend: Backend) -> None:
    """A ban on </think> keeps a thought going: a floor under thinking."""
    closing = str(token_id(backend, "</think>"))
    banned = backend.chat(SUM, max_tokens=300, logit_bias={closing: -100})
    assert banned["choices"][0]["message"]["content"] is None
    forced = backend.chat(SUM, max_tokens=5, logit_bias={closing: 100}, return_token_ids=True)
    assert forced["choices"][0]["token_ids"] == [int(closing)] * 5
