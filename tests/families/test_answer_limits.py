"""A client's limit for every family: what the gateway decided comes on top, what the client requested counts in."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.arm import Arm
from gateway.core.call import LIMIT_FIELDS, Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import LEVELS, NO_THINKING, UNLIMITED, Effort
from gateway.core.family import Family
from gateway.core.plan import Enforcement, Plan
from gateway.families import table
from gateway.families.answer_limits import KNOWN_TO_NONE, AnswerLimits
from gateway.families.compiler import compile_plan, row_enforcement
from gateway.families.model_limits import ModelLimits

NAMES = table.shipped().names()
LOW = Effort(True, 1024)
TERMS = ModelLimits(AnswerLimits(100, None, 10_000), LEVELS, False)
QWEN = table.shipped().family("qwen3", None)


def plan_of(
    family: Family,
    decided: Effort,
    requested: Effort | None = None,
    limits: dict[str, int] | None = None,
    by: Enforcement | None = None,
    size: int = 0,
    deployment: dict[str, Any] | None = None,
    **call: Any,
) -> Plan:
    given = {"max_tokens": 500} if limits is None else limits
    served = Deployment("d", ("http://x/v1",), "m", family, **(deployment or {}))
    arm = Arm.of("merged", served, served, (LOW,))
    asked = Call(
        "r", "chat", "pub", {"messages": [], **given}, requested=requested, limit=min(given.values()), size=size, **call
    )
    return compile_plan(asked, decided, arm, TERMS, None, row_enforcement if by is None else lambda *_: by)


def sent(plan: Plan) -> dict[str, Any]:
    return {name: plan.body[name] for name in LIMIT_FIELDS if name in plan.body}


@pytest.mark.parametrize("name", NAMES)
def test_thinking_that_the_gateway_decides_on_comes_on_top(name: str) -> None:
    family = table.shipped().family(name, None)
    both = {"max_tokens": 500, "max_completion_tokens": 900}
    for given in ({"max_tokens": 500}, {"max_completion_tokens": 500}, both):
        plan = plan_of(family, LOW, limits=given)
        applied = plan.applied
        if applied is None:
            expected = dict.fromkeys(given, 500)  # nothing is known of it, and nothing was decided
        else:
            enforced = plan.enforcement == "native" and applied.budget is not None
            extra = 0 if not applied.think else applied.budget if enforced else 4 * 1024
            fields = [family.limit_field] if family.limit_field else [*given]
            expected = dict.fromkeys(fields, 500 + extra)
            assert plan.limit == 500 + extra
        assert sent(plan) == expected, (name, given)
        none = plan_of(family, NO_THINKING, limits=given)
        if none.applied is not None and not none.applied.think:
            assert set(sent(none).values()) == {500}, name


@pytest.mark.parametrize("name", NAMES)
def test_thinking_that_the_client_requests_counts_in(name: str) -> None:
    family = table.shipped().family(name, None)
    plan = plan_of(family, LOW, LOW)
    assert set(sent(plan).values()) == {500}, name
    wanted = plan_of(family, LOW, limit_covers_thinking=True)
    assert set(sent(wanted).values()) == {500}, name


@pytest.mark.parametrize(
    ("decided", "requested", "by", "expected"),
    [
        (LOW, None, "two-phase", 1524),
        (LOW, None, "cut", 1524),
        (LOW, NO_THINKING, "native", 1524),
        (Effort(True, 4096), LOW, "native", 500 + 4096),
        (LOW, UNLIMITED, "native", 500),
        (UNLIMITED, None, "native", 10_500),
        (NO_THINKING, None, "native", 500),
    ],
)
def test_what_was_not_requested_is_added(
    decided: Effort, requested: Effort | None, by: Enforcement, expected: int
) -> None:
    assert sent(plan_of(QWEN, decided, requested, by=by)) == {"max_tokens": expected}


@pytest.mark.parametrize(
    ("deployment", "size", "limit", "expected", "budget"),
    [
        ({"max_context": 4000}, 1000, 500, 1524, 1024),
        ({"max_context": 4000}, 2700, 500, 1300, 800),  # the answer keeps all of its limit
        ({"max_context": 4000}, 3900, 500, 500, 400),  # no room for more: the answer keeps its allowance
        ({"max_output": 1200}, 0, 500, 1200, 700),
        ({"max_output": 1200, "max_context": 900}, 0, 500, 900, 400),
        ({}, 0, KNOWN_TO_NONE - 24, KNOWN_TO_NONE, 1024),
        ({}, 0, 64_000, 64_000, 1024),
    ],
)
def test_no_limit_is_raised_beyond_what_can_be_generated(
    deployment: dict[str, Any], size: int, limit: int, expected: int, budget: int
) -> None:
    plan = plan_of(QWEN, LOW, limits={"max_tokens": limit}, size=size, deployment=deployment)
    assert (sent(plan), plan.body["thinking_token_budget"]) == ({"max_tokens": expected}, budget)


def test_a_ceiling_that_the_limit_keeps_stays_one() -> None:
    """A family without budgets is held to a key's ceiling by the limit on all tokens, which is not raised then."""
    levels = table.shipped().family("gpt-oss", None)
    key = {"guarded": True, "key_ceiling": Effort(True, 600)}
    plan = plan_of(levels, Effort(True, 600), **key)
    assert plan.level == "low" and sent(plan) == {"max_tokens": 500 + 4 * 600}, "its level counts as its budget"
    switch = table.shipped().family("zai", None)
    assert sent(plan_of(switch, Effort(True, 600), **key)) == {"max_tokens": 500}
