"""A model that always thinks: its template ends in <think> and a newline, so the thought begins without the mark."""

from __future__ import annotations

import pytest

from tests.contract.backend import Backend
from tests.contract.prompts import SUM, long_thought


def test_the_thought_is_apart_from_the_answer(thinking_backend: Backend) -> None:
    answer = thinking_backend.chat(SUM, max_tokens=500, return_token_ids=True)
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["reasoning"].strip()
    assert choice["message"]["content"].strip()
    (closing,) = thinking_backend.ask("/tokenize", {"model": thinking_backend.model, "prompt": "</think>"})["tokens"]
    # The mark that opens the thought is in the prompt: every token before the closing one is a thinking token.
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == choice["token_ids"].index(closing)


@pytest.mark.parametrize("budget", [0, 1, 2, 7, 20])
def test_the_newline_of_the_template_is_part_of_the_budget(thinking_backend: Backend, budget: int) -> None:
    answer = thinking_backend.chat(long_thought(), thinking_token_budget=budget, max_tokens=budget + 40)
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == max(0, budget - 1)
    assert answer["choices"][0]["message"]["content"].strip()


def test_a_limit_within_the_thought_leaves_no_content(thinking_backend: Backend) -> None:
    answer = thinking_backend.chat(long_thought(), max_tokens=5)
    assert answer["choices"][0]["message"]["content"] is None
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 5


def test_its_stream_says_the_same(thinking_backend: Backend) -> None:
    plain = thinking_backend.chat(SUM, thinking_token_budget=6, max_tokens=60)["choices"][0]["message"]
    chunks = thinking_backend.chat_chunks(SUM, thinking_token_budget=6, max_tokens=60)
    for field in ("reasoning", "content"):
        assert "".join(chunk["choices"][0]["delta"].get(field) or "" for chunk in chunks) == plain[field]
