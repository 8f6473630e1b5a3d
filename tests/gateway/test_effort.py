"""What a client says about effort, what the policy makes of it, and what the backend is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "What is 2+2?"}]}
EFFORT_FIELDS = ("reasoning_effort", "thinking_token_budget", "chat_template_kwargs", "max_tokens", "thinkgate")


def told(backend: ScriptedBackend) -> dict[str, Any]:
    """The part of the backend's request that says how hard to think."""
    return {name: backend.last[name] for name in EFFORT_FIELDS if name in backend.last}


def on(budget: int | None = None) -> dict[str, Any]:
    budgeted = {} if budget is None else {"thinking_token_budget": budget}
    return {"chat_template_kwargs": {"enable_thinking": True}, **budgeted}


OFF = {"chat_template_kwargs": {"enable_thinking": False}}
SWITCH_ON: dict[str, Any] = {"chat_template_kwargs": {"enable_thinking": True}}


@pytest.mark.parametrize(
    ("asked", "expected", "level"),
    [
        ({"reasoning_effort": "none"}, OFF, "none"),
        ({"reasoning_effort": "low"}, on(32), "low"),
        ({"reasoning_effort": "max"}, on(), "max"),
        ({"thinking_token_budget": 0}, OFF, "none"),
        ({"thinking_token_budget": 50}, on(50), "medium"),
        ({"thinking_token_budget": -1}, on(), "max"),
        (OFF, OFF, "none"),
        (SWITCH_ON, on(), "max"),
        ({**SWITCH_ON, "thinking_token_budget": 9}, on(9), "low"),
        ({**OFF, "thinking_token_budget": 9}, OFF, "none"),
        ({"reasoning_effort": "high", "thinking_token_budget": 9}, on(9), "low"),
        ({"reasoning_effort": "low", "thinking_token_budget": 999}, on(32), "low"),
    ],
)
def test_a_named_effort_is_honoured(
    scripted_gateway: RunningGateway,
    backend: ScriptedBackend,
    asked: dict[str, Any],
    expected: dict[str, Any],
    level: str,
) -> None:
    answer = scripted_gateway.post({**ASK, **asked})
    assert answer.headers["x-thinkgate-effort"] == level
    assert answer.headers["x-thinkgate-reason"] == "client"
    assert told(backend) == expected


def test_a_split_pair_is_told_by_choosing_the_model(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    scripted_gateway.post({**ASK, "model": "split", "reasoning_effort": "none"})
    assert backend.last["model"] == "an-instruct-model" and told(backend) == {}
    answer = scripted_gateway.post({**ASK, "model": "split", "reasoning_effort": "high"})
    assert backend.last["model"] == "a-thinking-model" and told(backend) == {"thinking_token_budget": 128}
    assert answer.headers["x-thinkgate-arm"] == "split"
    assert answer.json()["model"] == "split"


@pytest.mark.parametrize("ask", [{}, {"reasoning_effort": "auto"}, {"reasoning_effort": None}])
def test_auto_or_nothing_means_decide(scripted_gateway: RunningGateway, ask: dict[str, Any]) -> None:
    answer = scripted_gateway.post({**ASK, **ask})
    assert answer.headers["x-thinkgate-reason"] == "router"


def test_auto_with_a_budget_decides_within_it(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    best = {"thinkgate": {"dial": 1}, "reasoning_effort": "auto"}
    scripted_gateway.post({**ASK, **best})
    assert told(backend) == on()
    answer = scripted_gateway.post({**ASK, **best, "thinking_token_budget": 70})
    assert told(backend) == on(64)
    assert answer.headers["x-thinkgate-reason"] == "router"


def test_the_dial_buys_more_thinking(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    budgets = []
    for dial in (0, 0.25, 0.5, 0.75, 1):
        answer = scripted_gateway.post({**ASK, "thinkgate": {"dial": dial}})
        budgets.append(float(answer.headers["x-thinkgate-budget"].replace("unlimited", "inf")))
    assert budgets == sorted(budgets) and budgets[0] == 0 and budgets[-1] == float("inf")
    assert "thinkgate" not in backend.last


def test_without_a_forecast_the_default_effort(start: Start, backend: ScriptedBackend) -> None:
    chosen = table(backend.url)
    model = {**chosen["models"]["merged"], "router": "tiny"}  # which knows nothing of this backend's model
    answer = start({**chosen, "models": {"merged": model}}).post(ASK)
    assert answer.headers["x-thinkgate-reason"] == "fallback"
    assert told(backend) == on(32)


@pytest.mark.parametrize(
    ("asked", "budget", "reason"),
    [
        ("none", 32, "policy"),
        ("low", 32, "client"),
        ("medium", 64, "client"),
        ("max", 128, "policy"),
        (None, 64, "policy"),
    ],
)
def test_bounds_are_kept(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, asked: str | None, budget: int, reason: str
) -> None:
    answer = scripted_gateway.post({**ASK, "model": "bounded", "reasoning_effort": asked})
    assert told(backend) == on(budget)
    assert answer.headers["x-thinkgate-reason"] == reason


def test_a_fixed_policy_is_fixed(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    scripted_gateway.post({**ASK, "model": "fixed", "reasoning_effort": "max"})
    assert told(backend) == on(100)


def test_a_plain_family_passes_effort_through_and_says_so(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    fields = {"reasoning_effort": "xhigh", "chat_template_kwargs": {"enable_thinking": True}}
    answer = scripted_gateway.post({**ASK, "model": "plain", **fields})
    assert told(backend) == fields
    assert answer.headers["x-thinkgate-effort"] == "unknown"
    assert "has no effort control" in answer.headers["x-thinkgate-note"]
    scripted_gateway.post({**ASK, "model": "plain", "reasoning_effort": "auto"})
    assert told(backend) == {}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(
    ("limit", "asked", "budget"),
    [(300, "high", 44), (1000, "high", 128), (300, "max", 44), (256, "high", 0), (1, "low", 0)],
)
def test_the_answer_is_never_starved_by_the_thought(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, name: str, limit: int, asked: str, budget: int
) -> None:
    answer = scripted_gateway.post({**ASK, "reasoning_effort": asked, name: limit})
    assert backend.last[name] == limit
    assert backend.last.get("thinking_token_budget", 0) == budget
    assert answer.headers["x-thinkgate-budget"] == str(budget)
    if budget == 0:
        assert backend.last["chat_template_kwargs"] == {"enable_thinking": False}
        assert answer.headers["x-thinkgate-effort"] == "none"
        assert "no room to think" in answer.headers["x-thinkgate-note"]


def test_of_two_limits_the_smaller_holds(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    scripted_gateway.post({**ASK, "max_tokens": 500, "max_completion_tokens": 300, "reasoning_effort": "max"})
    assert (backend.last["max_tokens"], backend.last["max_completion_tokens"]) == (300, 300)
    assert backend.last["thinking_token_budget"] == 44


def test_the_four_efforts_are_recorded_apart(scripted_gateway: RunningGateway) -> None:
    scripted_gateway.post({**ASK, "reasoning_effort": "high", "max_tokens": 300})
    (row,) = scripted_gateway.records()
    assert (row["requested"], row["decided"], row["applied"], row["used"]) == ("high", "128", "44", 5)
    assert row["notes"].startswith("budget cut from 128 to 44")
