"""The one rule of telling: what each kind of family is told for each effort, rounded, refused, and put into words."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.aliases import JsonObject
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import LEVELS, Effort, from_budget
from gateway.core.errors import InvalidRequest
from gateway.core.family import EngineTraits, Family
from gateway.core.plan import Enforcement
from gateway.families.answer_limits import AnswerLimits
from gateway.families.compiler import compile_plan, row_enforcement
from gateway.families.model_limits import ModelLimits, Strict

SWITCH: dict[str, JsonObject] = {
    "off": {"chat_template_kwargs": {"enable_thinking": False}},
    "on": {"chat_template_kwargs": {"enable_thinking": True}},
}
BUDGET = "thinking_token_budget"
HYBRID = Family("hybrid", "", True, host=EngineTraits(hide_field="include_reasoning"), **SWITCH, budget_field=BUDGET)
STEPS = replace(HYBRID, name="steps", budget_field="chat_template_kwargs.budget", budget_step=512, budget_least=512)
LEVELED = {name: name for name in ("low", "medium", "high")}
NEAREST = {"minimal": "low", "xhigh": "high", "max": "high"}
WORDS = Family("words", "", True, off=None, level_field="reasoning_effort", levels=LEVELED, nearest=NEAREST)
NUMBERS = replace(WORDS, name="numbers", levels={"low": 50, "high": 75}, nearest={"medium": "low"}, budget_field=BUDGET)
SWITCHED = Family("switched", "", True, off={"thinking": {"type": "disabled"}}, on={"thinking": {"type": "enabled"}})
FORCED = Family("forced", "", False, off=None, budget_field=BUDGET)


def plan_of(
    family: Family, asked: str | int | None, strict: Strict = False, by: Enforcement | None = None, **body: Any
) -> Any:
    deployment = Deployment("d", ("http://x/v1",), "m", family)
    arm = Arm.of("merged", deployment, deployment, (Effort(True, 64),))
    requested = None if asked is None else LEVELS[asked] if isinstance(asked, str) else from_budget(asked)
    limit = body.get("max_tokens")
    call = Call("r", "chat", "pub", {"messages": [], **body}, requested=requested, effort_word=str(asked), limit=limit)
    terms = ModelLimits(AnswerLimits(10), LEVELS, strict)
    enforce = row_enforcement if by is None else lambda *_: by
    return compile_plan(call, requested or Effort(True, 64), arm, terms, None, enforce)


def told(plan: Any) -> dict[str, Any]:
    return {
        name: copy.deepcopy(value)
        for name, value in plan.body.items()
        if name not in ("messages", "model", "max_tokens")
    }


OFF, ON = SWITCH["off"], SWITCH["on"]


@pytest.mark.parametrize(
    ("family", "asked", "expected", "applied"),
    [
        (HYBRID, "none", OFF, "none"),
        (HYBRID, "low", {**ON, BUDGET: 1024}, "1024"),
        (HYBRID, "max", ON, "unlimited"),
        (HYBRID, None, {**ON, BUDGET: 64}, "64"),
        (STEPS, 1500, {"chat_template_kwargs": {"enable_thinking": True, "budget": 1024}}, "1024"),
        (STEPS, 7, {"chat_template_kwargs": {"enable_thinking": True, "budget": 512}}, "512"),
        (WORDS, "none", {"reasoning_effort": "low"}, "low"),
        (WORDS, "minimal", {"reasoning_effort": "low"}, "low"),
        (WORDS, "medium", {"reasoning_effort": "medium"}, "medium"),
        (WORDS, "max", {"reasoning_effort": "high"}, "high"),
        (WORDS, 3000, {"reasoning_effort": "high"}, "high"),
        (WORDS, None, {"reasoning_effort": "low"}, "low"),
        (NUMBERS, "high", {"reasoning_effort": 75, BUDGET: 4096}, "4096"),
        (NUMBERS, "medium", {"reasoning_effort": 50, BUDGET: 2048}, "2048"),
        (SWITCHED, "low", SWITCHED.on, "unlimited"),
        (SWITCHED, "none", SWITCHED.off, "none"),
        (FORCED, "none", {BUDGET: 1}, "1"),
    ],
)  # fmt: skip
def test_each_kind_of_family(family: Family, asked: str | int | None, expected: dict[str, Any], applied: str) -> None:
    plan = plan_of(family, asked)
    assert (told(plan), plan.words) == (expected, applied)
    said_as_asked = asked in (None, "max") or applied in (str(asked), str(LEVELS.get(str(asked), Effort(False)).budget))
    assert said_as_asked or f"family {family.name}" in plan.notes[0], "what differs is said"


@pytest.mark.parametrize("by", ["two-phase", "cut"])
def test_a_budget_that_the_gateway_keeps_is_not_told(by: Enforcement) -> None:
    plan = plan_of(HYBRID, 100, by=by)
    assert (told(plan), plan.words, plan.enforcement) == (ON, "100", by)
    assert plan_of(SWITCHED, 100, by=by).words == "100"
    assert plan_of(SWITCHED, "max", by=by).enforcement == "none"


@pytest.mark.parametrize(
    ("family", "asked", "legal"),
    [
        (WORDS, "none", "low, medium, high, auto"),
        (FORCED, "none", "minimal, low, medium, high, xhigh, max, auto, or a budget in tokens"),
    ],
)
def test_no_thinking_is_refused_where_it_cannot_be_had(family: Family, asked: str, legal: str) -> None:
    for strict in ("off", True):
        with pytest.raises(InvalidRequest, match=f"cannot turn thinking off. It takes: {legal}.") as refused:
            plan_of(family, asked, strict)
        assert (refused.value.status, refused.value.param) == (400, "reasoning_effort")
    assert plan_of(family, asked, False).notes


@pytest.mark.parametrize(
    ("family", "asked", "why"),
    [
        (WORDS, "xhigh", "has no level 'xhigh'"),
        (WORDS, 900, "takes no budget"),
        (SWITCHED, "low", "takes no budget"),
        (STEPS, 700, "takes no budget of 700 tokens \\(the nearest is 512\\)"),
    ],
)
def test_strict_refuses_what_is_not_legal(family: Family, asked: str | int, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        plan_of(family, asked, True)
    assert refused.value.code == "unsupported_value"
    assert plan_of(family, asked, "off").notes, "else it is rounded, and said"


LEGAL = [(WORDS, "high"), (HYBRID, "low"), (STEPS, 1024), (SWITCHED, "max"), (SWITCHED, "none")]


@pytest.mark.parametrize(("family", "asked"), LEGAL)
def test_strict_takes_what_is_legal(family: Family, asked: str | int) -> None:
    assert plan_of(family, asked, True).notes == ()


def test_less_room_is_a_weaker_level() -> None:
    plan = plan_of(WORDS, "high", max_tokens=1500)
    assert (told(plan), plan.words) == ({"reasoning_effort": "medium"}, "medium")
    assert plan.notes[0].startswith("budget cut from 4096 to 1490")


def test_the_least_budget_does_not_take_the_whole_limit() -> None:
    plan = plan_of(STEPS, 200, max_tokens=400)
    assert (told(plan), plan.words) == (OFF, "none")
    assert "no room to think" in plan.notes[-1]
    assert plan_of(STEPS, 200, max_tokens=600).words == "512"


CLIENTS: list[dict[str, Any]] = [
    {"reasoning": {"effort": "low", "exclude": True}},
    {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    {"chat_template_kwargs": {"enable_thinking": True, "thinking_budget": 1024, "their_own": 1}},
    {"enable_thinking": True, "thinking_budget": 1024},
    {"extra_body": {"google": {"thinking_config": {"thinking_budget": 1024}, "cached_content": "x"}}},
]


@pytest.mark.parametrize("body", CLIENTS)
def test_what_the_client_said_is_replaced_and_the_rest_of_it_stays(body: dict[str, Any]) -> None:
    plan = plan_of(HYBRID, 1024, **body)
    sent = told(plan)
    assert sent.pop(BUDGET) == 1024 and sent["chat_template_kwargs"].pop("enable_thinking") is True
    left = {name: value for name, value in sent.items() if value != {}}
    assert left in (
        {},
        {"include_reasoning": False},
        {"chat_template_kwargs": {"their_own": 1}},
        {"extra_body": {"google": {"cached_content": "x"}}},
    )
    assert (left == {"include_reasoning": False}) == ("reasoning" in body)
