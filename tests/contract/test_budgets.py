"""`thinking_token_budget` is exact: tokens after <think> are counted, and at the budget the thought ends."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.contract import ties
from tests.contract.backend import MODEL, Backend
from tests.contract.prompts import NO_THINKING, SUM, long_thought, prompts, token_id

ALLOWANCE = 40


def _reasoning_tokens(answer: dict[str, Any]) -> int:
    return int(answer["usage"]["completion_tokens_details"]["reasoning_tokens"])


@pytest.mark.parametrize("budget", [1, 2, 7, 20])
def test_a_thought_that_is_cut_has_exactly_its_budget(backend: Backend, budget: int) -> None:
    answer = backend.chat(long_thought(), thinking_token_budget=budget, max_tokens=budget + ALLOWANCE)
    assert _reasoning_tokens(answer) == budget
    assert answer["choices"][0]["message"]["content"].strip()


def test_no_budget_at_all_ends_the_thought_at_once(backend: Backend) -> None:
    answer = backend.chat(long_thought(), thinking_token_budget=0, max_tokens=ALLOWANCE, return_token_ids=True)
    assert _reasoning_tokens(answer) == 0
    assert answer["choices"][0]["message"]["reasoning"] is None
    assert answer["choices"][0]["message"]["content"].strip()
    marks = [token_id(backend, mark) for mark in ("<think>", "</think>")]
    assert answer["choices"][0]["token_ids"][:2] == marks


@pytest.mark.parametrize("budget", [-1, None, 2000])
def test_an_unlimited_budget_changes_nothing(backend: Backend, budget: int | None) -> None:
    answer = backend.chat(SUM, thinking_token_budget=budget, max_tokens=500)
    assert answer["choices"] == backend.chat(SUM, max_tokens=500)["choices"]


@pytest.mark.parametrize("budget", [-2, "5", 1.5, True])
def test_a_budget_that_makes_no_sense_is_refused(backend: Backend, budget: Any) -> None:
    answer = backend.refuse(SUM, thinking_token_budget=budget, max_tokens=50)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "thinking_token_budget"


def test_a_budget_means_nothing_without_thinking(backend: Backend) -> None:
    with_budget = backend.chat(SUM, thinking_token_budget=3, max_tokens=20, **NO_THINKING)
    assert with_budget["choices"] == backend.chat(SUM, max_tokens=20, **NO_THINKING)["choices"]


def test_thoughts_already_in_a_prompt_count(backend: Backend) -> None:
    """A thought that is resumed from token ids goes on with what is left of its budget."""
    started = backend.chat(long_thought(), max_tokens=6, return_token_ids=True)
    ids = started["prompt_token_ids"] + started["choices"][0]["token_ids"]
    resumed = backend.complete(ids, thinking_token_budget=12, max_tokens=ALLOWANCE, return_token_ids=True)
    closing = token_id(backend, "</think>")
    # Five of the six tokens came after <think>: seven are left.
    assert resumed["choices"][0]["token_ids"].index(closing) == 7


def test_what_the_prompt_says_after_the_opening_mark_counts(backend: Backend) -> None:
    """Templates that open the thought for the model end in <think> and a newline, which is one token of the budget."""
    prompt = backend.ask("/tokenize", {"model": MODEL, "messages": long_thought()})["tokens"]
    opened = [*prompt, token_id(backend, "<think>"), token_id(backend, "\n")]
    answer = backend.complete(opened, thinking_token_budget=6, max_tokens=ALLOWANCE, return_token_ids=True)
    assert answer["choices"][0]["token_ids"].index(token_id(backend, "</think>")) == 5


async def test_many_budgets_at_once_are_all_exact(backend: Backend) -> None:
    """More than run at once, with budgets 0 to 150 and none: as long as without one, or cut where it is spent."""
    rng = random.Random(5)
    tasks = [prompt for prompt in prompts() if prompt.kind == "reasoning"][:48]
    budgets = [rng.choice((None, *range(60), 100, 150)) for _ in tasks]
    free = await ties.runs(backend, tasks, [{}] * len(tasks))
    bound = await ties.runs(backend, tasks, [{"thinking_token_budget": budget} for budget in budgets])
    closing = token_id(backend, "</think>")
    cut = 0
    for task, budget, whole, answer in zip(tasks, budgets, free, bound, strict=True):
        full, spent = (run.ids.index(closing) - 1 for run in (whole, answer))
        expected = full if budget is None else min(full, budget)
        alike = ties.compared([task.id], [whole.until(expected + 1)], [answer.until(expected + 1)])
        assert alike.faults == []
        assert budget is None or spent <= budget
        # A thought of another batch may end sooner, or later, only where two tokens were tied.
        assert spent == expected or alike.differ
        cut += expected < full
    assert cut > 10
