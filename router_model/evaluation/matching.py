"""Matches the efforts of a table to heads of a router, and notes every effort that has no head of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from router_model.data.outcomes import GENERIC, Arm
from router_model.model.artifact import Head


def match_heads(heads: Sequence[Head], efforts: Sequence[Arm]) -> tuple[list[list[int]], list[str]]:
    """For each effort the heads to average, and a note wherever they are not exactly that effort's.

    In turn: the effort's own head, the same model's nearest budget, the generic head, all heads that think alike.
    """
    matched, notes = [], []
    for arm in efforts:
        found, how = _nearest(heads, arm)
        if how:
            notes.append(f"the router has no head for {arm.name}; forecast by {how}")
        matched.append(found)
    return matched, notes


def _nearest(heads: Sequence[Head], arm: Arm) -> tuple[list[int], str]:
    wanted = float("inf") if arm.budget is None else float(arm.budget)
    # A head of no budget is where a surface begins, and stands for no other effort.
    alike = [i for i, h in enumerate(heads) if h.think == arm.think and (h.budget != 0 or arm.budget == 0)]
    own = [i for i in alike if heads[i].model == arm.model]
    if own:
        best = min(own, key=lambda i: _distance(heads[i], wanted))
        exact = heads[best].budget == arm.budget and not arm.mode.startswith("effort-")
        return [best], "" if exact else f"{heads[best].name}"
    generic = [i for i in alike if heads[i].model == GENERIC]
    if generic:
        best = min(generic, key=lambda i: _distance(heads[i], wanted))
        return [best], f"the generic head {heads[best].name}"
    if alike:
        nearest = min(_distance(heads[i], wanted) for i in alike)
        group = [i for i in alike if _distance(heads[i], wanted) == nearest]
        return group, f"the mean of {', '.join(heads[i].name for i in group[:4])}"
    return list(range(len(heads))), "the mean of all its heads, none of which thinks alike: worthless"


def _distance(head: Head, wanted: float) -> float:
    own = float("inf") if head.budget is None else float(head.budget)
    return 0.0 if own == wanted else abs(np.log1p(min(own, 1e9)) - np.log1p(min(wanted, 1e9)))
