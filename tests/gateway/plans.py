"""The plans of a call, for property tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from gateway.core.call import Call
from gateway.core.errors import InvalidRequest
from gateway.core.plan import Plan
from gateway.families.compiler import compile_plan
from gateway.routing.catalogue import PublicModel


def plans(call: Call, model: PublicModel) -> Iterator[tuple[Plan, dict[str, Any]]]:
    """For each arm, the plan and its body as the backend reads it; without arms that refuse the effort."""
    for arm in model.arms:
        try:
            plan = compile_plan(call, model.policy.decide(call, None).effort, arm, model.terms)
        except InvalidRequest as error:
            assert error.code == "unsupported_value" and error.param
            continue
        yield plan, orjson.loads(orjson.dumps(plan.body))
