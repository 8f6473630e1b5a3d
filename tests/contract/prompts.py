"""The prompts that the contract is tried on: held-out ones of the task suite, which the tiny models can answer."""

from __future__ import annotations

from functools import cache
from typing import Any

from router_model.tasks import Prompt, generate
from tests.contract.backend import MODEL, Backend

SUM: list[dict[str, Any]] = [{"role": "user", "content": "What is 12 + 35?"}]
NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False}}


@cache
def prompts(n: int = 200, seed: int = 20_261) -> tuple[Prompt, ...]:
    """`n` held-out prompts, half reasoning and half instruct work, all tasks and levels, with tools and histories."""
    return tuple(generate(seed, n))


@cache
def long_thought() -> list[dict[str, Any]]:
    """The messages of the reasoning prompt with the longest worked thought."""
    return max((p for p in prompts() if p.kind == "reasoning"), key=lambda prompt: len(prompt.thought)).messages


@cache
def tool_prompts() -> tuple[Prompt, ...]:
    """Prompts that a tool call answers."""
    return tuple(p for p in prompts() if p.tools and p.verifier == "tool")


def token_id(backend: Backend, token: str) -> int:
    """The id of a text that is one token."""
    (number,) = backend.ask("/tokenize", {"model": MODEL, "prompt": token})["tokens"]
    return int(number)
