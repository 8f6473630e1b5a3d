"""The demo's prompts, answered by the tiny model without thinking and with as much as it likes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from gateway.commands.demo import traffic
from gateway.serving.engine_process import EngineProcess
from router_model.tasks import Prompt, verify

AT_ONCE = 48


class EndAnswer(NamedTuple):
    """One answer: its score in [0, 1] by the suite's verifier, tokens, and what it says, to be compared."""

    score: float
    tokens: int
    thinking: int
    says: str


class BothEnds:
    """`answers` of each prompt: without thinking, with it."""

    def __init__(self, prompts: list[Prompt], answers: list[tuple[EndAnswer, EndAnswer]]) -> None:
        self.prompts = prompts
        self.answers = answers

    @cached_property
    def agree(self) -> list[bool]:
        return [none.says == think.says for none, think in self.answers]

    @classmethod
    def of(cls, path: Path, count: int) -> BothEnds:
        """From a file of JSON lines, collected first if there is none (7,000 prompts: four minutes)."""
        if not path.exists():
            with EngineProcess() as engine:
                rows = asyncio.run(_collected(f"{engine.url()}/chat/completions", traffic(count)))
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        prompts = traffic(len(found))
        return cls(prompts, [(EndAnswer(*row[0]), EndAnswer(*row[1])) for row in found])


async def _collected(url: str, prompts: list[Prompt]) -> list[tuple[EndAnswer, EndAnswer]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async with aiohttp.ClientSession() as session:

        async def answer(prompt: Prompt, think: bool) -> EndAnswer:
            body: dict[str, Any] = {
                "model": "tiny",
                "messages": prompt.messages,
                "temperature": 0,
                "chat_template_kwargs": {"enable_thinking": think},
            }
            if prompt.tools:
                body["tools"] = prompt.tools
            async with gate, session.post(url, json=body) as response:
                return _read(prompt, await response.json())

        return await asyncio.gather(*(_both(answer, prompt) for prompt in prompts))


async def _both(answer: Any, prompt: Prompt) -> tuple[EndAnswer, EndAnswer]:
    return await answer(prompt, False), await answer(prompt, True)


def _read(prompt: Prompt, told: Mapping[str, Any]) -> EndAnswer:
    message, usage = told["choices"][0]["message"], told["usage"]
    content, calls = message.get("content"), message.get("tool_calls")
    says = json.dumps([(content or "").strip(), [call["function"] for call in calls or []]])
    thinking = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return EndAnswer(verify(prompt, content, calls), usage["completion_tokens"], thinking, says)
