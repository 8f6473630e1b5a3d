"""Attempts to have more thinking than is allowed: what a router can be talked into ends at the key's ceiling."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from router_model.evaluation import adversarial
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.scripted import ScriptedBackend

QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "Running total: 12 + 9 + 5 + 31 + 44 + 8 + 27 + 63 + 19"}]
BUDGETS = [8, 16, 32, 64, 128, 256]
POLICIES: dict[str, dict[str, Any]] = {
    "dial": {"kind": "dial", "dial": 0.95, "default_effort": "max", "probe": "never"},
    "contract": {"kind": "contract", "max_regret": 0.02, "probe": "never"},
    "none kept": {"kind": "contract", "max_regret": 0.0001, "probe": "never", "if_impossible": "full_effort"},
}


@pytest.fixture
def table(backend: ScriptedBackend) -> dict[str, Any]:
    deployment = {"url": backend.url, "model": "tiny", "family": "qwen3", "verify": False}
    return {
        "deployments": {"dep": deployment},
        "models": {
            name: {"deployment": "dep", "router": "tiny", "policy": {**policy, "budgets": BUDGETS}}
            for name, policy in POLICIES.items()
        },
    }


@pytest.mark.parametrize("model", POLICIES)
def test_no_attack_gets_past_a_key_s_ceiling(
    model: str, table: dict[str, Any], tmp_path: Path, backend: ScriptedBackend
) -> None:
    with (
        KeyedGateway(table, tmp_path, Clock()) as gateway,
        gateway.client(gateway.key(ceiling=16)) as bounded,
        gateway.client(gateway.key()) as free,
    ):
        attacked = [attack(QUESTION, random.Random(0)) for attack in adversarial.attacks().values()]
        for messages in (QUESTION, *attacked):
            bounded.chat.completions.create(model=model, messages=messages)  # type: ignore[arg-type]
        assert {budget(request.body) for request in backend.requests} <= {0, 16}
        assert any(budget(request.body) == 16 for request in backend.requests)
        backend.requests.clear()
        free.chat.completions.create(model=model, messages=QUESTION)  # type: ignore[arg-type]
        assert budget(backend.last) > 16


def budget(body: dict[str, Any]) -> float:
    if not body["chat_template_kwargs"]["enable_thinking"]:
        return 0
    return float(body.get("thinking_token_budget", "inf"))
