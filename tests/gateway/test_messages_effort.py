"""`thinking` and `output_config.effort`, alone and together: what is asked, decided, and told to the backend."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.anthropics import ask
from tests.gateway.conftest import Start
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import MODEL, ScriptedBackend

LEVELS = {"low": 32, "medium": 64, "high": 128}


def thinking(kind: str, **fields: Any) -> dict[str, Any]:
    return {"thinking": {"type": kind, **fields}}


def effort(level: str) -> dict[str, Any]:
    return {"output_config": {"effort": level}}


# What is sent; then what the record says was asked, and the budget applied: where the client decides (`low` if it does
# not), and where a router does (which finds 256 tokens worth their price, or as many as it may).
CASES: list[tuple[dict[str, Any], tuple[str, int], tuple[str, int]]] = [
    ({}, ("auto", 32), ("auto", 256)),
    (effort("auto"), ("auto", 32), ("auto", 256)),
    (effort("high"), ("high", 128), ("high", 128)),
    (effort("none"), ("none", 0), ("none", 0)),
    (thinking("adaptive"), ("auto", 32), ("auto", 256)),
    (thinking("adaptive", display="omitted") | effort("auto"), ("auto", 32), ("auto", 256)),
    (thinking("adaptive") | effort("medium"), ("medium", 64), ("auto", 64)),
    (thinking("adaptive") | effort("none"), ("none", 0), ("auto", 0)),
    (thinking("enabled", budget_tokens=1), ("1", 1), ("1", 1)),
    (thinking("enabled", budget_tokens=2000), ("2000", 2000), ("2000", 2000)),
    (thinking("enabled", budget_tokens=100) | effort("high"), ("100", 100), ("100", 100)),
    (thinking("enabled", budget_tokens=100) | effort("low"), ("low", 32), ("low", 32)),
    (thinking("enabled", budget_tokens=10) | effort("auto"), ("auto", 10), ("auto", 0)),
    (thinking("disabled"), ("none", 0), ("none", 0)),
    (thinking("disabled") | effort("max"), ("none", 0), ("none", 0)),
    (thinking("between_tools"), ("none", 0), ("none", 0)),
    ({"thinking": None, "output_config": None}, ("auto", 32), ("auto", 256)),
    ({"output_config": {"effort": None, "format": None}}, ("auto", 32), ("auto", 256)),
]


@pytest.fixture
def gateway(backend: ScriptedBackend, start: Start) -> RunningGateway:
    deployment = {"url": backend.url, "model": MODEL, "family": "qwen3"}
    common = {"deployment": "d", "levels": LEVELS}
    client = {"kind": "client", "default_effort": "low"}
    dial = {"kind": "dial", "budgets": [16, 64, 256], "default_effort": "low"}
    models = {
        "client": {**common, "policy": client},
        "router": {**common, "policy": dial, "router": "constant"},
    }
    return start({"deployments": {"d": deployment}, "models": models})


def test_every_way_to_name_an_effort(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    for fields, *_ in CASES:
        for model in ("client", "router"):
            answer = ask(gateway, model=model, **fields)
            assert answer.status_code == 200, answer.text
            body = backend.last
            budget = int(answer.headers["x-thinkgate-budget"])
            assert body["chat_template_kwargs"] == {"enable_thinking": budget > 0}
            assert body.get("thinking_token_budget", 0) == budget
            assert "reasoning_effort" not in body and "thinking" not in body and "output_config" not in body
    rows = gateway.records()
    seen = [(row["requested"], row["budget"]) for row in rows]
    assert seen == [expected for _, *pair in CASES for expected in pair]
    assert {row["dialect"] for row in rows} == {"messages"}


def test_a_family_that_is_unknown_gets_the_fields_that_vllm_reads(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    for fields, told in (
        ({}, {}),
        (effort("auto"), {}),
        (effort("high"), {"reasoning_effort": "high"}),
        (thinking("adaptive"), {}),
        (thinking("disabled") | effort("high"), {"reasoning_effort": "none"}),
        (thinking("enabled", budget_tokens=2000), {"thinking_token_budget": 2000}),
        (
            thinking("enabled", budget_tokens=2000) | effort("low"),
            {"thinking_token_budget": 2000, "reasoning_effort": "low"},
        ),
    ):
        assert ask(scripted_gateway, model="plain", **fields).status_code == 200
        names = ("reasoning_effort", "thinking_token_budget")
        assert {name: backend.last[name] for name in names if name in backend.last} == told


def test_the_account_is_given_when_it_is_asked_for(scripted_gateway: RunningGateway) -> None:
    expected = {"requested": "2000", "decided": "2000", "applied": "2000", "used": 5, "reason": "client"}
    for how in ({"include": ["thinkgate"]}, {"headers": {"x-thinkgate-include": "thinkgate"}}):
        answer = ask(scripted_gateway, **thinking("enabled", budget_tokens=2000), **how)
        assert expected.items() <= answer.json()["thinkgate"].items()
    assert "thinkgate" not in ask(scripted_gateway).json()


def test_the_dial_moves(scripted_gateway: RunningGateway) -> None:
    budgets = [
        int(ask(scripted_gateway, thinkgate={"dial": dial}).headers["x-thinkgate-budget"]) for dial in (0, 0.5, 1)
    ]
    assert budgets == sorted(budgets)
