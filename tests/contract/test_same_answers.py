"""One set of weights, two engines: the same fields, the same prompts and, greedily, the same answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router_model.tasks import Prompt
from tests.contract.backend import MODEL, Backend
from tests.contract.conftest import Both
from tests.contract.prompts import NO_THINKING, SUM, prompts

AGREEMENT = 0.95
IN_FLIGHT = 24


async def _answers(backend: Backend, tasks: tuple[Prompt, ...], fields: dict[str, Any]) -> list[Any]:
    """What each prompt is answered: thought, content and calls."""
    slots = asyncio.Semaphore(IN_FLIGHT)
    async with backend.async_sdk() as client:

        async def ask(task: Prompt) -> Any:
            extra = {"tools": task.tools} if task.tools else {}
            async with slots:
                answer = await client.chat.completions.create(
                    model=MODEL, messages=task.messages, temperature=0, max_tokens=700, extra_body={**fields, **extra}
                )
            message = answer.choices[0].message
            calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
            return message.model_extra["reasoning"], message.content or "", calls

        return list(await asyncio.gather(*(ask(task) for task in tasks)))


@pytest.mark.parametrize(
    "fields",
    [NO_THINKING, {}, {"thinking_token_budget": 16}, {"thinking_token_budget": 64}],
    ids=["no-thinking", "thinking", "budget-16", "budget-64"],
)
async def test_the_same_greedy_answers(both: Both, fields: dict[str, Any]) -> None:
    tasks = prompts(200)
    ours = await _answers(both.embedded, tasks, fields)
    theirs = await _answers(both.vllm, tasks, fields)
    different = [task.id for task, a, b in zip(tasks, ours, theirs, strict=True) if a[1:] != b[1:]]
    share = 1 - len(different) / len(tasks)
    assert share >= AGREEMENT, f"{share:.1%} of the answers agree; not those of {different}"


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
