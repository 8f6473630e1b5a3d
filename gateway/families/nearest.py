"""The legal level that stands for one that a family does not know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

# Weakest first.
ORDER = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def stand_ins(levels: Iterable[str], can_be_off: bool, said: Mapping[str, str]) -> dict[str, str]:
    """For each named level that is not among `levels`, the nearest that is: the fewest steps away in the order, the
    weaker of two that are as near; no thinking, where it `can_be_off`, only if it is nearer than any thought. What the
    family's maker has `said` of a level wins, where that is legal. Empty where there are no levels.
    """
    known = set(levels)
    if not known:
        return {}
    legal = [step for step, name in enumerate(ORDER) if name in known or (name == "none" and can_be_off)]
    found = {}
    for step, name in enumerate(ORDER):
        if name in known or name == "none":
            continue
        nearest = _nearest(step, legal)
        by_word = ORDER.index(said[name]) if name in said else nearest
        found[name] = ORDER[by_word if by_word in legal else nearest]
    return found


def _nearest(step: int, legal: Sequence[int]) -> int:
    return min(legal, key=lambda other: (abs(other - step), not other, other))
