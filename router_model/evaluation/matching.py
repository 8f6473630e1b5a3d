"""Matches the efforts of a table to heads of a router, with a note for every effort without its own head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from router_model.data.outcomes import GENERIC, Arm
from router_model.model.artifact import Head


def match_heads(heads: Sequence[Head], efforts: Sequence[Arm]) -> tuple[list[list[int]], list[str]]:
    """For each effort the heads to average, and notes on efforts without their own head.

    In order of preference: the effort's own head, the same model's nearest budget, the generic head, all heads with the
    same `think`.
    """
    matched, notes = [], []
    for arm in efforts:
        found, how = _nearest(heads, arm)
        if how:
            notes.append(f"the router has no head for {arm.name}; forecast by {how}")
        matched.append(found)
    return matched, notes


def _nearest(heads: Sequence[Head], arm: Arm) -> tuple[list[int], str]:
    arm = arm.as_budget or arm
    budget = float("inf") if arm.budget is None else float(arm.budget)
    # A head with budget 0 is only an anchor of interpolation, and matches no other effort.
    candidates = [i for i, h in enumerate(heads) if h.think == arm.think and (h.budget != 0 or arm.budget == 0)]
    own = [i for i in candidates if heads[i].model == arm.model]
    if own:
        best = min(own, key=lambda i: _distance(heads[i], budget))
        exact = heads[best].budget == arm.budget and not arm.mode.startswith("effort-")
        return [best], "" if exact else f"{heads[best].name}"
    generic = [i for i in candidates if heads[i].model == GENERIC]
    if generic:
        best = min(generic, key=lambda i: _distance(heads[i], budget))
        return [best], f"the generic head {heads[best].name}"
    if candidates:
        nearest = min(_distance(heads[i], budget) for i in candidates)
        group = [i for i in candidates if _distance(heads[i], budget) == nearest]
        return group, f"the mean of {', '.join(heads[i].name for i in group[:4])}"
    return list(range(len(heads))), "the mean of all its heads, none of which has the same `think`: meaningless"


def _distance(head: Head, budget: float) -> float:
    own = float("inf") if head.budget is None else float(head.budget)
    return 0.0 if own == budget else abs(np.log1p(min(own, 1e9)) - np.log1p(min(budget, 1e9)))
