"""A backend that answers by how it is told to think, and what a gateway has learned from answering again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from gateway.paired.judge import LAST_WORDS, RULES
from tests.gateway.conftest import table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, Connection, delta, usage_chunk
from tests.patience import until

USAGE = {"prompt_tokens": 7, "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 5}}
ASK: dict[str, Any] = {
    "model": "unrouted",
    "messages": [{"role": "user", "content": "How many?"}],
    "reasoning_effort": "none",
}


def judge_that_says(says: Callable[[str, str], str]) -> Callable[[str], str]:
    """What it says of the answers shown as A and as B."""

    def reply(prompt: str) -> str:
        shown = prompt.partition("\n\nAnswer A:\n")[2].removesuffix(f"\n\n{LAST_WORDS}")
        one, _, other = shown.partition("\n\nAnswer B:\n")
        return says(one, other)

    return reply


@dataclass
class Thinker:
    """A script: `quick` is its answer without thinking, `thought` with it. `prompts` are those that a judge got."""

    quick: str = "41"
    thought: str = "42"
    judge: Callable[[str], str] = lambda prompt: "TIE"
    finish: str = "stop"
    message: dict[str, Any] = field(default_factory=dict)
    prompts: list[str] = field(default_factory=list)

    async def __call__(self, connection: Connection) -> None:
        body = connection.request.body
        thinks = (body.get("chat_template_kwargs") or {}).get("enable_thinking", True)
        text = self.thought if thinks else self.quick
        messages = body.get("messages") or [{}]
        if messages[0].get("content") == RULES:
            self.prompts.append(messages[1]["content"])
            text = self.judge(messages[1]["content"])
        if body.get("stream"):
            await connection.begin_stream()
            await connection.event(delta(role="assistant", content=text))
            await connection.event(delta(self.finish))
            await connection.event(usage_chunk())
            await connection.event("[DONE]")
            await connection.end_stream()
            return
        message = {"role": "assistant", "content": text, **self.message}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        await connection.answer(200, json.dumps({**ANSWER, "choices": [choice], "usage": USAGE}).encode())


def settings(url: str, prices: bool = False, **learn: Any) -> dict[str, Any]:
    """All requests are answered again at another effort, unless `learn` says otherwise."""
    chosen = table(url)
    if prices:
        chosen["deployments"]["hybrid"] |= {"input_price": 1.0, "output_price": 1000.0}
    return {**chosen, "learn": {"shadow": 1.0, "same_effort": 0.0, "shadow_running": 100, **learn}}


def counted(counter: Any) -> dict[tuple[str, ...], float]:
    """The values of a counter, by its labels."""
    (found,) = counter.collect()
    return {tuple(one.labels.values()): one.value for one in found.samples if one.name.endswith("_total")}


def skipped(gateway: RunningGateway) -> dict[str, float]:
    return {why: count for (why,), count in counted(gateway.parts.metrics.shadows.skips).items()}


def agreements(gateway: RunningGateway) -> dict[tuple[str, ...], float]:
    return counted(gateway.parts.metrics.shadows.agreements)


def compared(gateway: RunningGateway, pairs: int) -> None:
    """Returns once so many pairs have been compared, and nothing runs any more."""
    until(lambda: sum(agreements(gateway).values()) >= pairs and not gateway.parts.ledgers.shadows.running)


def left_out(gateway: RunningGateway, requests: int) -> dict[str, float]:
    """Why so many requests brought nothing to learn from, once they have not."""
    until(lambda: sum(skipped(gateway).values()) >= requests and not gateway.parts.ledgers.shadows.running)
    return skipped(gateway)


def outcomes(gateway: RunningGateway) -> list[dict[str, Any]]:
    """All outcomes of a gateway that has stopped, in the order of their requests."""
    with closing(sqlite3.connect(gateway.database)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM outcomes ORDER BY id, metric, source")]
