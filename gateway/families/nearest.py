"""The level that replaces one a family does not support."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

# Weakest first.
ORDER = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def replacements(levels: Iterable[str], can_be_off: bool, documented: Mapping[str, str]) -> dict[str, str]:
    """For each named level not among `levels`, the nearest that is: the fewest steps away, the weaker on a tie; no
    thinking, where it `can_be_off`, only if it is strictly nearer. What the family's maker has `documented` takes
    precedence where it is valid. Empty if there are no levels.
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
        preferred = ORDER.index(documented[name]) if name in documented else nearest
        found[name] = ORDER[preferred if preferred in legal else nearest]
    return found


def _nearest(step: int, legal: Sequence[int]) -> int:
    return min(legal, key=lambda other: (abs(other - step), not other, other))
