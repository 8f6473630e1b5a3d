"""Budgets through the gateway, on both engines: whatever the client allows for thinking, no more is spent."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from tests.contract.backend import Backend
from tests.contract.prompts import prompts
from tests.gateway.running import RunningGateway

# How many requests, each with a budget of its own; more of them in the soak parts.
REQUESTS = pytest.mark.parametrize("requests", [60, pytest.param(300, marks=pytest.mark.long)])
IN_FLIGHT = 24
MERGED = {"deployment": "tiny"}
SPLIT = {"none": "tiny-instruct", "think": "tiny-thinking"}
FAMILIES = {"tiny": "qwen3", "tiny-instruct": "qwen3-2507", "tiny-thinking": "qwen3-2507"}


def _table(backend: Backend, backends: dict[str, str]) -> dict[str, Any]:
    """One public model whose clients decide on the budget."""
    deployments = {name: {"url": backend.url, "family": FAMILIES[name]} for name in backends.values()}
    policy = {"kind": "client", "default_effort": "max"}
    return {"deployments": deployments, "models": {"reasoner": {**backends, "policy": policy}}}


async def _spent(gateway: RunningGateway, budgets: list[int]) -> list[int]:
    """The reasoning tokens that each budget led to, over reasoning prompts in turn."""
    tasks = [prompt for prompt in prompts() if prompt.kind == "reasoning"]
    slots = asyncio.Semaphore(IN_FLIGHT)
    async with gateway.async_sdk() as client:

        async def ask(number: int, budget: int) -> int:
            async with slots:
                answer = await client.chat.completions.create(
                    model="reasoner",
                    messages=tasks[number % len(tasks)].messages,
                    temperature=0,
                    extra_body={"thinking_token_budget": budget},
                )
            assert answer.choices[0].message.content, "the answer was starved by the thought"
            assert answer.usage is not None
            details = answer.usage.completion_tokens_details
            # A deployment without a reasoning parser, as an Instruct model's is, has no such details.
            return (details.reasoning_tokens or 0) if details else 0

        return list(await asyncio.gather(*(ask(number, budget) for number, budget in enumerate(budgets))))


async def _never_exceeded(gateway: RunningGateway, requests: int) -> None:
    rng = random.Random(11)
    budgets = [rng.randint(0, 200) for _ in range(requests)]
    spent = await _spent(gateway, budgets)
    assert [pair for pair in zip(spent, budgets, strict=True) if pair[0] > pair[1]] == []
    assert sum(spent) > 0


@REQUESTS
async def test_no_budget_is_exceeded(backend: Backend, tmp_path: Path, requests: int) -> None:
    with RunningGateway(_table(backend, MERGED), tmp_path) as gateway:
        await _never_exceeded(gateway, requests)
        assert len(gateway.records()) == requests


@REQUESTS
async def test_no_budget_is_exceeded_by_a_split_pair(embedded_backend: Backend, tmp_path: Path, requests: int) -> None:
    with RunningGateway(_table(embedded_backend, SPLIT), tmp_path) as gateway:
        await _never_exceeded(gateway, requests)


@pytest.mark.parametrize("effort", ["none", "minimal", "low"])
async def test_a_named_effort_is_honoured(backend: Backend, tmp_path: Path, effort: str) -> None:
    levels = {"minimal": 16, "low": 32}
    table = _table(backend, MERGED)
    table["models"]["reasoner"]["levels"] = levels
    with RunningGateway(table, tmp_path) as gateway, gateway.sdk() as client:
        for task in [prompt for prompt in prompts() if prompt.kind == "reasoning"][:8]:
            answer = client.chat.completions.create(
                model="reasoner", messages=task.messages, temperature=0, reasoning_effort=effort
            )
            details = answer.usage.completion_tokens_details if answer.usage else None
            assert details is not None
            assert (details.reasoning_tokens or 0) <= levels.get(effort, 0)
