"""The legal level that stands for one that a family does not know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Weakest first.
ORDER = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def stand_ins(levels: Iterable[str], can_be_off: bool, said: Mapping[str, str]) -> dict[str, str]:
    """For each named level that is not among `levels`, the nearest that is: the fewest steps away in the order, the
    weaker of two that are as near; no thinking, where it `can_be_off`, only if it is nearer than any thought. What the
    family's maker has `said` of a level wins. Empty where there are no levels.
    """
    known = set(levels)
    if not known:
        return {}
    legal = [step for step, name in enumerate(ORDER) if name in known or (name == "none" and can_be_off)]
    return {
        name: said.get(name) or ORDER[min(legal, key=lambda other: (abs(other - step), not other, other))]
        for step, name in enumerate(ORDER)
        if name not in known and name != "none"
    }
