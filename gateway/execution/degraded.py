"""Whether a quota made an answer think less than the policy would have let it."""

from __future__ import annotations

from gateway.execution.recorder import Recorder
from gateway.execution.streaming.budget_check import BudgetCheck


def degraded(recorder: Recorder, checked: BudgetCheck) -> bool | None:
    """None: nothing was planned. Not where the thinking ended by itself within the lowered budget: an enforced budget
    does nothing but cut thinking off, so that the answer would have been the same.
    """
    planned, plan = recorder.planned, recorder.plan
    if planned is None or plan is None:
        return None
    if not planned.lowered or recorder.outcome is None:
        return False
    applied, used = plan.applied, checked.used
    if applied is None or not applied.think or applied.budget is None or plan.enforcement == "none":
        return True
    return used is None or used >= applied.budget * planned.call.choices
