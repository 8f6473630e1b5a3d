"""Efforts: named levels, their budgets, their order, and their text form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to think. `budget` is in thinking tokens; None with `think` means unlimited; without `think` it is 0."""

    think: bool
    budget: int | None = None

    def __post_init__(self) -> None:
        if not self.think and self.budget != 0:
            object.__setattr__(self, "budget", 0)
        if self.budget is not None and self.budget < 0:
            raise ValueError(f"a thinking budget cannot be negative: {self.budget}")


NO_THINKING = Effort(think=False, budget=0)
UNLIMITED = Effort(think=True, budget=None)
LEVELS: Mapping[str, Effort] = {
    "none": NO_THINKING,
    "minimal": Effort(True, 128),
    "low": Effort(True, 1024),
    "medium": Effort(True, 2048),
    "high": Effort(True, 4096),
    "xhigh": Effort(True, 8192),
    "max": UNLIMITED,
}


def size(effort: Effort) -> float:
    """The sort key of an effort: its budget, 0 for none and infinity for unlimited."""
    return float("inf") if effort.budget is None else effort.budget


def from_budget(budget: int | None) -> Effort:
    """A budget of 0 is no thinking, None or -1 is unlimited thinking."""
    if budget is None or budget == -1:
        return UNLIMITED
    return Effort(True, budget) if budget else NO_THINKING


def clamp(effort: Effort, floor: Effort, ceiling: Effort) -> Effort:
    """The nearest effort within the bounds; where the bounds cross, the ceiling wins."""
    return min(max(effort, floor, key=size), ceiling, key=size)


def level_of(effort: Effort, levels: Mapping[str, Effort] = LEVELS) -> str:
    """The weakest named level that allows this effort's budget."""
    if not effort.think:
        return "none"
    names = sorted((name for name, level in levels.items() if level.think), key=lambda name: size(levels[name]))
    return next((name for name in names if size(levels[name]) >= size(effort)), names[-1] if names else "max")


def words(effort: Effort) -> str:
    """`none`, a number of tokens, or `unlimited`."""
    if not effort.think:
        return "none"
    return "unlimited" if effort.budget is None else str(effort.budget)
