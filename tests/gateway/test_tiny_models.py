"""The weights that ship do what their model cards say: a sample of held-out prompts, greedily, at three efforts."""

from __future__ import annotations

import asyncio
import math
from statistics import fmean
from typing import Any

import openai
import pytest

from router_model.tasks import Prompt, generate, verify
from tests import plain_http

IN_FLIGHT = 24
# What the model cards say of the share that is right, at the least.
RIGHT = 0.95
PAIRS = {"merged": ("tiny", "tiny"), "split": ("tiny-instruct", "tiny-thinking")}


async def _scores(url: str, model: str, fields: dict[str, Any], prompts: list[Prompt]) -> dict[str, float]:
    """Mean score by kind of work."""
    slots = asyncio.Semaphore(IN_FLIGHT)
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:

        async def ask(prompt: Prompt) -> float:
            extra: dict[str, Any] = {"tools": prompt.tools} if prompt.tools else {}
            async with slots:
                answer = await client.chat.completions.create(
                    model=model,
                    messages=prompt.messages,  # type: ignore[arg-type]
                    temperature=0,
                    extra_body=fields,
                    **extra,
                )
            message = answer.choices[0].message
            return verify(prompt, message.content, message.tool_calls)

        scores = await asyncio.gather(*(ask(prompt) for prompt in prompts))
    return {
        kind: fmean(score for prompt, score in zip(prompts, scores, strict=True) if prompt.kind == kind)
        for kind in ("reasoning", "instruct")
    }


@pytest.mark.parametrize("number", [80, pytest.param(240, marks=pytest.mark.long)])
@pytest.mark.parametrize("pair", PAIRS)
async def test_thinking_helps_reasoning_and_instruct_work_needs_none(engine: str, pair: str, number: int) -> None:
    """By the model cards, less two standard errors of a sample of this size."""
    prompts = list(generate(20_262, number))
    slack = 2 * math.sqrt(RIGHT * (1 - RIGHT) / (number / 2))
    instruct, thinking = PAIRS[pair]
    off = {"chat_template_kwargs": {"enable_thinking": False}} if pair == "merged" else {}
    never = await _scores(engine, instruct, off, prompts)
    little = await _scores(engine, thinking, {"thinking_token_budget": 48}, prompts)
    always = await _scores(engine, thinking, {}, prompts)
    assert never["instruct"] >= RIGHT - slack
    assert never["reasoning"] <= 0.6
    assert always["reasoning"] >= RIGHT - slack
    assert never["reasoning"] < little["reasoning"] < always["reasoning"]


def test_more_answers_than_can_wait_are_refused_before_anything_is_made(engine: str) -> None:
    many = {"model": "tiny", "prompt": ["hi"] * 5000, "n": 16384, "temperature": 1}
    answer = plain_http.post(f"{engine}/v1/completions", json=many)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
