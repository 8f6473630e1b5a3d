"""How many tokens recent answers took, by deployment and budget: what one more of them is expected to take."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from typing import NamedTuple

from gateway.core.efforts import Effort

# Answers that are remembered of each kind, and from how many on they say anything.
REMEMBERED, FEWEST = 128, 10
# Kinds that are remembered: operators have few deployments, clients may name any budget.
MOST_KINDS = 1024
# Far more than any recent answer took: in multiples of the largest.
AMPLE = 2
P90 = 0.9


class Kind(NamedTuple):
    """Answers of one deployment with about the same budget: `size` is its number of bits, or -1 if it is unlimited."""

    deployment: str
    size: int

    @classmethod
    def of(cls, deployment: str, effort: Effort | None) -> Kind:
        budget = None if effort is None else effort.budget
        return cls(deployment, -1 if budget is None else budget.bit_length())


class RecentTokens:
    """The thinking and completion tokens of each choice of recent, complete answers, in this process."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[Kind, tuple[_Sample, _Sample]] = OrderedDict()

    def add(self, kind: Kind, thinking: int, completion: int) -> None:
        samples = self._kinds.get(kind)
        if samples is None:
            samples = self._kinds[kind] = (_Sample(), _Sample())
            if len(self._kinds) > MOST_KINDS:
                self._kinds.popitem(last=False)
        self._kinds.move_to_end(kind)
        samples[0].add(thinking)
        samples[1].add(completion)

    def thinking(self, kind: Kind) -> int | None:
        """The P90 of thinking tokens; None: too few are known."""
        return self._kinds[kind][0].p90 if kind in self._kinds else None

    def completion(self, kind: Kind) -> int | None:
        """The P90 of completion tokens; None: too few are known."""
        return self._kinds[kind][1].p90 if kind in self._kinds else None

    def ample(self, kind: Kind) -> int | None:
        """A thinking budget that cuts hardly any of these answers; None: too few are known."""
        return self._kinds[kind][0].ample if kind in self._kinds else None


class _Sample:
    """The latest values, by age and in order."""

    __slots__ = ("_by_age", "_rising")

    def __init__(self) -> None:
        self._by_age: deque[int] = deque()
        self._rising: list[int] = []

    def add(self, value: int) -> None:
        if len(self._by_age) == REMEMBERED:
            del self._rising[bisect_left(self._rising, self._by_age.popleft())]
        self._by_age.append(value)
        insort(self._rising, value)

    @property
    def p90(self) -> int | None:
        """The value that the next one does not exceed with a probability of 9 in 10, if all are alike: of n values the
        ceil(0.9 (n + 1))th (Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005).
        """
        count = len(self._rising)
        return self._rising[min(math.ceil(P90 * (count + 1)), count) - 1] if count >= FEWEST else None

    @property
    def ample(self) -> int | None:
        return AMPLE * max(self._rising[-1], 1) if len(self._rising) >= FEWEST else None
