"""Probes through the gateway, on both engines: what is kept is the engine's own answer, and nothing else is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract.backend import Backend
from tests.contract.prompts import prompts
from tests.gateway.running import RunningGateway
from tests.patience import PATIENCE_S

BUDGETS = [8, 16, 32, 64, 128, 256]


def _table(backend: Backend) -> dict[str, Any]:
    """A model that asks everybody first, however slow the machine is."""
    policy = {"kind": "dial", "dial": 0.65, "budgets": BUDGETS, "probe": "always", "probe_wait_s": 300}
    return {
        "deployments": {"tiny": {"url": f"{backend.url}/v1", "family": "qwen3"}},
        "models": {"asking": {"deployment": "tiny", "policy": policy, "router": "tiny", "answer_allowance": 64}},
    }


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_kept_is_the_answer_without_thinking(backend: Backend, tmp_path: Path, stream: bool) -> None:
    tasks = prompts()[20 * stream :][:20]
    with RunningGateway(_table(backend), tmp_path) as gateway:
        with gateway.sdk(timeout=PATIENCE_S) as client:
            got = [_ask(client, task.messages, task.tools, stream) for task in tasks]
        rows = gateway.records()
    assert {row["probe"] for row in rows} == {"kept", "thrown_away"}
    for task, text, row in zip(tasks, got, rows, strict=True):
        if task.tools or row["probe"] != "kept":
            continue
        asked = backend.chat(task.messages, chat_template_kwargs={"enable_thinking": False}, logprobs=True)
        choice = asked["choices"][0]
        assert text == choice["message"]["content"]
        assert row["completion_tokens"] == asked["usage"]["completion_tokens"] == row["probe_tokens"]
        values = [token["logprob"] for token in choice["logprobs"]["content"]]
        assert len(values) == row["probe_tokens"]
        assert row["probe_min"] == pytest.approx(min(values), abs=0.01)


def _ask(client: openai.OpenAI, messages: Any, tools: Any, stream: bool) -> str | None:
    more: dict[str, Any] = {"tools": tools} if tools else {}
    answer: Any = client.chat.completions.create(
        model="asking", messages=messages, temperature=0, stream=stream, **more
    )
    choices = [choice for part in answer for choice in part.choices] if stream else answer.choices
    assert all(choice.logprobs is None for choice in choices), "nobody asked for them"
    if stream:
        return "".join(choice.delta.content or "" for choice in choices)
    return str(answer.choices[0].message.content)
