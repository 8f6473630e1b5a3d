"""Five hundred random requests over all families and dialects: what is applied is legal, kept to, and recorded.

The backend does what each family is told as that family would, and refuses what is not legal for it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.families.obeying import obeying, served_as
from tests.families.record import rows
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend

REQUESTS = 500
IN_FLIGHT = 16
LEVELS = ("minimal", "low", "medium", "high", "xhigh", "max")
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
CALL = {"name": "look", "arguments": '{"at": "it"}'}
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}


@dataclass
class Asked:
    """One random request. `off`: it asks for no thinking, which some models must refuse."""

    dialect: str
    body: dict[str, Any]
    off: bool = False
    choices: int = 1
    id: str = field(default="")


def settings(url: str) -> dict[str, Any]:
    """Each row as a merged model and as the thinking half of a pair, some under the dial, some left to clients."""
    deployments: dict[str, Any] = {"quiet": {"url": url, "family": "instruct", "model": served_as("instruct", "vllm")}}
    models: dict[str, Any] = {}
    for number, (name, engine) in enumerate(rows()):
        if name in ("plain", "instruct"):
            continue
        own = {"url": url, "family": name, **({} if engine == "hosted" else {"engine": engine})}
        think = f"{name}@{engine}"
        deployments[think] = {**own, "model": served_as(name, engine, "think")}
        dial = {"kind": "dial", "dial": 0.6, "budgets": [128, 1024, 4096]}
        client = {"kind": "client", "default_effort": ("none", "low", 700, "max")[number % 4]}
        more = {"router": "constant", "policy": dial} if number % 3 == 0 else {"policy": client}
        models[f"pair {think}"] = {"none": "quiet", "think": think, **more}
        if name != "qwen3-2507":
            models[think] = {"deployment": think, **more}
    return {"deployments": deployments, "models": models}


class Draw:
    """Requests, the same ones for the same seed."""

    def __init__(self, models: list[str], seed: int) -> None:
        self._rng = random.Random(seed)
        self._models = models

    def request(self, number: int) -> Asked:
        rng = self._rng
        dialect = rng.choice([*PATHS])
        asked: Asked = getattr(self, f"_{dialect}")(f"What is {rng.randrange(10**6)} + {number}?")
        asked.id = f"random-{number}"
        asked.body["model"] = self._models[number % len(self._models)]
        if rng.random() < 0.4:
            asked.body["stream"] = True
        return asked

    def _limit(self) -> int | None:
        return self._rng.choice([None, None, 300, 1500, 5000, 20_000])

    def _budget(self, limit: int | None) -> int:
        return self._rng.randint(1, min((limit or 9000) - 1, 9000))

    def _chat(self, question: str) -> Asked:
        rng, limit = self._rng, self._limit()
        body: dict[str, Any] = {"messages": self._talk(question)}
        if limit is not None:
            body[rng.choice(["max_tokens", "max_completion_tokens"])] = limit
        off = False
        way = rng.choice(["nothing", "auto", "level", "level", "budget", "budget", "switch", "off", "other", "both"])
        if way == "auto":
            body["reasoning_effort"] = "auto"
        if way in ("level", "both"):
            body["reasoning_effort"] = rng.choice(LEVELS)
        if way in ("budget", "both"):
            body["thinking_token_budget"] = self._budget(limit)
        if way == "switch":
            body["chat_template_kwargs"] = {"enable_thinking": True}
        if way == "off":
            off = True
            none = [{"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}, {"thinking_token_budget": 0}]
            body |= rng.choice(none)
        if way == "other":
            body["reasoning"] = rng.choice([{"effort": rng.choice(LEVELS)}, {"max_tokens": self._budget(limit)}])
        choices = rng.choice([1, 1, 1, 2, 3])
        if choices > 1:
            body["n"] = choices
        if rng.random() < 0.3:
            body["tools"] = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]
        return Asked("chat", body, off, choices)

    def _talk(self, question: str) -> list[Any]:
        """Sometimes with a thought of an earlier turn, under whichever name."""
        rng = self._rng
        turns: list[Any] = [{"role": "user", "content": question}]
        if rng.random() < 0.4:
            thought = {rng.choice(["reasoning", "reasoning_content"]): "hm, I must look"}
            call = {"id": "c1", "type": "function", "function": CALL}
            turns += [
                {"role": "assistant", "content": None, "tool_calls": [call], **thought},
                {"role": "tool", "tool_call_id": "c1", "content": "seen"},
            ]
        return turns

    def _responses(self, question: str) -> Asked:
        rng, limit = self._rng, self._limit()
        body: dict[str, Any] = {"input": question, "store": rng.random() < 0.5}
        if limit is not None:
            body["max_output_tokens"] = limit
        level = rng.choice([None, "auto", "none", *LEVELS])
        if level is not None or rng.random() < 0.5:
            body["reasoning"] = {"effort": level}
        if rng.random() < 0.3:
            body["tools"] = [{"type": "function", "name": "look", "parameters": SCHEMA, "strict": False}]
        return Asked("responses", body, level == "none")

    def _messages(self, question: str) -> Asked:
        rng = self._rng
        limit = self._limit() or 8000
        body: dict[str, Any] = {"max_tokens": limit, "messages": [{"role": "user", "content": question}]}
        kind = rng.choice([None, "adaptive", "enabled", "enabled", "disabled"])
        if kind is not None:
            body["thinking"] = {"type": kind, **({"budget_tokens": self._budget(limit)} if kind == "enabled" else {})}
        if rng.random() < 0.5:
            body["output_config"] = {"effort": rng.choice(LEVELS[1:])}
        if rng.random() < 0.3:
            body["tools"] = [{"name": "look", "input_schema": SCHEMA}]
        return Asked("messages", body, kind == "disabled")


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend(obeying) as running:
        yield running


async def send_all(gateway: RunningGateway, requests: list[Asked]) -> list[httpx.Response]:
    slots = asyncio.Semaphore(IN_FLIGHT)
    async with gateway.async_http() as client:

        async def send(asked: Asked) -> httpx.Response:
            async with slots:
                return await client.post(PATHS[asked.dialect], json=asked.body, headers={"x-request-id": asked.id})

        return list(await asyncio.gather(*map(send, requests)))


@pytest.mark.parametrize("seed", [4])
async def test_efforts_are_legal_kept_and_recorded(backend: ScriptedBackend, tmp_path: Path, seed: int) -> None:
    table = settings(backend.url)
    draw = Draw([*table["models"]], seed)
    # Some ask a model that always thinks not to: those are refused, and count for nothing.
    requests = [draw.request(number) for number in range(REQUESTS + 100)]
    with RunningGateway(table, tmp_path) as gateway:
        answers = await send_all(gateway, requests)
        records = {row["request_id"]: row for row in gateway.records()}
    done = Counter[str]()
    for asked, answer in zip(requests, answers, strict=True):
        row = records[asked.id]
        if answer.status_code == 400 and asked.off:
            assert row["error_code"] == "unsupported_value", answer.text
            continue
        assert answer.status_code == 200, (asked, answer.text)
        assert "error" not in answer.text[-300:], (asked, answer.text)
        done[asked.dialect] += 1
        assert row["dialect"] == asked.dialect and row["status"] == 200
        assert None not in (row["requested"], row["decided"], row["applied"], row["used"]), row
        assert row["budget"] is None or row["used"] <= row["budget"] * asked.choices, (asked, row)
        assert row["verdict"] == (None if row["budget"] is None else "within"), row
        told = answer.headers["x-thinkgate-budget"]
        assert told == ("unlimited" if row["budget"] is None else str(row["budget"]))
    assert done.total() >= REQUESTS and min(done.values()) > REQUESTS // 5, done
