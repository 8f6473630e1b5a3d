"""One set of weights, two engines: the same fields, the same prompts and, greedily, the same answers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.serving.engine_process import EngineProcess
from router_model.tasks import Prompt
from tests.contract import ties
from tests.contract.backend import INSTRUCT_MODEL, MODEL, THINKING_MODEL, Backend
from tests.contract.conftest import WEIGHTS, Both
from tests.contract.prompts import NO_THINKING, SUM, prompts

# At once, and after a thought: as long as it likes, and with two budgets.
FORMS: list[dict[str, Any]] = [NO_THINKING, {}, {"thinking_token_budget": 16}, {"thinking_token_budget": 64}]


async def _compared(
    ours: Backend, theirs: Backend, tasks: Sequence[Prompt], fields: Sequence[Mapping[str, Any]]
) -> ties.Compared:
    names = [f"{task.id} {dict(more)}" for task, more in zip(tasks, fields, strict=True)]
    return ties.compared(names, await ties.runs(ours, tasks, fields), await ties.runs(theirs, tasks, fields))


async def test_the_same_greedy_answers(both: Both) -> None:
    """All prompts, each in one of the forms."""
    tasks = prompts(200)
    found = await _compared(both.embedded, both.vllm, tasks, [FORMS[number % 4] for number in range(len(tasks))])
    assert found.reasons() == []


@pytest.mark.long
@pytest.mark.parametrize("form", FORMS, ids=["no-thinking", "thinking", "budget-16", "budget-64"])
async def test_the_same_greedy_answers_in_every_form(both: Both, form: dict[str, Any]) -> None:
    tasks = prompts(200)
    found = await _compared(both.embedded, both.vllm, tasks, [form] * len(tasks))
    assert found.reasons() == []


def _move(folder: Path, bits: int) -> None:
    """The weights in a new folder, half of one tensor of which has moved by so many units in bfloat16's last place."""
    shutil.copytree(WEIGHTS / MODEL, folder)
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    # The last tensor of the file, a norm of 128.
    values = np.frombuffer(data, "<u2")[-128:]
    values += np.arange(128, dtype=np.uint16) % 2 * bits
    file.write_bytes(data)


async def test_other_weights_are_found_out(embedded_backend: Backend, tmp_path: Path) -> None:
    tasks = prompts(200)[:40]
    # An engine serves three models, so here are three variants of one: unmoved, moved by a bit, and far.
    moved = {MODEL: 0, INSTRUCT_MODEL: 1, THINKING_MODEL: 40}
    for name, bits in moved.items():
        _move(tmp_path / name, bits)
    with EngineProcess(weights=tmp_path) as process:
        url = process.url()
        forms = [NO_THINKING] * len(tasks)
        same, bit, far = [await _compared(embedded_backend, Backend(n, url, n), tasks, forms) for n in moved]
    assert same.reasons() == []
    assert "a log-probability differs" in bit.reasons()[-1]
    assert "differs and is no tie" in far.reasons()[0]


async def test_an_epsilon_that_excuses_too_much_is_found_out(embedded_backend: Backend) -> None:
    tasks = prompts(200)[:40]
    first, again = [await ties.runs(embedded_backend, tasks, [NO_THINKING] * len(tasks)) for _ in range(2)]
    names = [task.id for task in tasks]
    assert ties.compared(names, first, again).reasons() == []
    assert "are ties" in ties.compared(names, first, again, epsilon=0.2).reasons(0.2)[0]


def test_only_a_tie_of_both_runs_excuses_a_difference() -> None:
    def run(*steps: tuple[int, dict[int, float]]) -> ties.Run:
        return ties.Run([1], [own for own, _ in steps], [values for _, values in steps])

    start, tied = (3, {3: -0.1, 4: -3.0}), {5: -0.700, 6: -0.701}
    for other, why in (
        (run(start, (6, {6: -0.700, 5: -0.701})), ""),
        (run(start, (6, {6: -0.1, 5: -3.0})), "is no tie"),
        (run(start, (6, {6: -0.700, 8: -0.701})), "is no tie"),
        (run(start), "one ends after 1 tokens"),
    ):
        faults = ties.compared(["x"], [run(start, (5, tied))], [other]).faults
        assert why in faults[0] if why else faults == []


def test_the_same_prompts(both: Both) -> None:
    """Template and tokenizer agree, to the token, over all forms of prompts."""
    for task in prompts(200):
        request = {"model": MODEL, "messages": task.messages, **({"tools": task.tools} if task.tools else {})}
        ours, theirs = (backend.ask("/tokenize", request)["tokens"] for backend in (both.embedded, both.vllm))
        assert ours == theirs, task.id


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"return_token_ids": True, "logprobs": True, "top_logprobs": 1},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"stream": True, "return_token_ids": True, "logprobs": True, "top_logprobs": 1},
    ],
)
def test_no_field_is_invented(both: Both, fields: dict[str, Any]) -> None:
    ours, theirs = (_paths(_said(backend, fields)) for backend in (both.embedded, both.vllm))
    assert ours <= theirs


def _said(backend: Backend, fields: dict[str, Any]) -> Any:
    plain = {**fields, "max_tokens": 200}
    return backend.chat_chunks(SUM, **plain) if "stream" in fields else backend.chat(SUM, **plain)


def _paths(value: Any, path: str = "") -> set[str]:
    """The names of all fields, lists being walked through."""
    if isinstance(value, list):
        return set().union(*(_paths(item, path) for item in value))
    if isinstance(value, dict):
        return set().union(*(_paths(item, f"{path}.{name}") | {f"{path}.{name}"} for name, item in value.items()))
    return set()
