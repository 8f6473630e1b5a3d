"""An arm: an ordered map from efforts to any number of deployments."""

from __future__ import annotations

import pytest

from gateway.core.arm import LEAST_THOUGHT, Arm, EffortRoute
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.families.answer_limits import AnswerLimits
from gateway.families.compiler import compile_plan
from gateway.families.model_limits import ModelLimits
from gateway.families.table import family
from gateway.routing.catalogue import levels_with

QUICK, SMALL, LARGE = (
    Deployment(name, ("http://x/v1",), name, family("qwen3")) for name in ("quick", "small", "large")
)
EFFORTS = (NO_THINKING, Effort(True, 512), Effort(True, 4096), UNLIMITED)
LADDER = Arm(
    "ladder",
    (EffortRoute(NO_THINKING, QUICK), EffortRoute(LEAST_THOUGHT, SMALL), EffortRoute(Effort(True, 2048), LARGE)),
    EFFORTS,
)


def test_each_effort_goes_to_the_last_route_that_begins_at_it_or_below() -> None:
    found = {budget: LADDER.deployment_for(Effort(True, budget)).name for budget in (1, 2047, 2048, None)}
    assert found == {1: "small", 2047: "small", 2048: "large", None: "large"}
    assert LADDER.deployment_for(NO_THINKING) is QUICK is LADDER.for_passthrough
    assert (LADDER.deployments, LADDER.thinking) == ((QUICK, SMALL, LARGE), (SMALL, LARGE))


def test_requests_are_compiled_for_the_deployment_of_their_effort() -> None:
    limits = ModelLimits(AnswerLimits(64), levels_with({}))
    for effort, name in zip(EFFORTS, ("quick", "small", "large", "large"), strict=True):
        plan = compile_plan(Call("id", "chat", "m", {"messages": []}, requested=effort), effort, LADDER, limits)
        assert plan.deployment.name == name == plan.body["model"]


def test_what_no_route_serves_is_nobody_s() -> None:
    direct = Arm.of("direct", QUICK, None, (NO_THINKING,))
    assert direct.find(Effort(True, 1)) is None and direct.thinking == ()
    with pytest.raises(LookupError, match="arm direct has no deployment for"):
        direct.deployment_for(UNLIMITED)
    only = Arm.of("only", None, LARGE, (UNLIMITED,))
    assert only.find(NO_THINKING) is None and only.for_passthrough is LARGE and only.passthrough_may_think
