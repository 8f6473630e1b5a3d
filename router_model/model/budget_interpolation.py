"""Forecasts at any thinking budget, interpolated between the heads with the next lower and higher budgets.

A budget either covers the reasoning or truncates it, so the effect of a budget between two heads follows from the
probability that the reasoning ends between theirs. Its length is log-normal around the forecast of the unlimited head,
with the width of its calibrated quantiles. Between two heads accuracy goes from the one's to the other's, up or down:
nothing is assumed of its course. The head without thinking is not interpolated. The module does not need NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import erf, exp, log1p, sqrt
from typing import NamedTuple

from router_model.model.artifact import Head
from router_model.model.scores import Scores

# The distance of P10 and P90 of a normal distribution, in standard deviations.
_SPAN = 2.5631
_NARROWEST = 0.05
# Below this probability mass between two budgets, the interpolation is numerically meaningless.
_LEAST_MASS = 1e-4


class ReasoningLength(NamedTuple):
    """The distribution of reasoning length: log(1 + tokens) is normal with mean `middle` and deviation `width`."""

    middle: float
    width: float

    @classmethod
    def of(cls, tokens: float, spread: Sequence[float]) -> ReasoningLength:
        """From a forecast and P10, P50 and P90 of log(1 + real) - log(1 + forecast)."""
        low, half, high = spread
        return cls(log1p(tokens) + half, max((high - low) / _SPAN, _NARROWEST))

    def within(self, budget: float) -> float:
        """The probability that reasoning ends within a budget."""
        if budget == float("inf"):
            return 1.0
        return _normal((log1p(budget) - self.middle) / self.width)

    def mean(self, budget: float) -> float:
        """The mean reasoning tokens under a budget that truncates."""
        whole = exp(min(self.middle + self.width * self.width / 2, 40.0))
        if budget == float("inf"):
            return whole - 1
        at = (log1p(budget) - self.middle) / self.width
        return whole * _normal(at - self.width) + (1 + budget) * (1 - _normal(at)) - 1


class _Between(NamedTuple):
    """An effort between heads: those with the next lower and higher budgets, the unlimited one, and the budgets.

    `low` and `high` are equal if a head has exactly this budget, or all are on one side. `most` limits the thinking
    tokens, unless a head has the budget: then they are what was measured.
    """

    low: int
    high: int
    whole: int
    budget: float
    below: float
    above: float
    most: float


class Surface:
    """Forecasts for some efforts, whether or not there are heads with exactly their budgets."""

    def __init__(self, heads: Sequence[Head], efforts: Sequence[Head]) -> None:
        """`efforts` in the order of the results. KeyError: no head has an effort's model and `think`."""
        self.heads, self.efforts = tuple(heads), tuple(efforts)
        self._positions = [_between(self.heads, effort) for effort in self.efforts]
        self.exact = all(position.low == position.high for position in self._positions)

    @property
    def nearest(self) -> list[int]:
        """For each effort the head with the same or the next higher budget."""
        return [position.high for position in self._positions]

    def __call__(self, scores: Scores, spread: Sequence[Sequence[float]]) -> Scores:
        """The forecasts of the efforts, from those of the heads.

        `spread` [heads, 3]: quantiles of the error of thinking tokens, as in `ReasoningLength.of`.
        """
        p, thinking, answer = scores
        if self.exact:
            at = self._positions
            thoughts = [min(thinking[one.low], one.most) for one in at]
            return Scores([p[one.low] for one in at], thoughts, [answer[one.low] for one in at])
        found: tuple[list[float], list[float], list[float]] = [], [], []
        for low, high, whole, budget, below, above, most in self._positions:
            if low == high:
                values = p[low], min(thinking[low], most), answer[low]
            else:
                length = ReasoningLength.of(thinking[whole], spread[whole])
                covered = _share(length.within(below), length.within(budget), length.within(above))
                spent = _share(length.mean(below), length.mean(budget), length.mean(above))
                values = (
                    p[low] + covered * (p[high] - p[low]),
                    min(thinking[low] + spent * (thinking[high] - thinking[low]), most),
                    answer[low] + covered * (answer[high] - answer[low]),
                )
            for column, value in zip(found, values, strict=True):
                column.append(value)
        return Scores(*found)


def _between(heads: Sequence[Head], effort: Head) -> _Between:
    alike = [i for i, head in enumerate(heads) if head.model == effort.model and head.think == effort.think]
    if not alike:
        raise KeyError(effort.name)
    alike.sort(key=lambda i: budget_of(heads[i]))
    wanted = budget_of(effort) if effort.think else float("inf")
    below = [i for i in alike if budget_of(heads[i]) <= wanted]
    above = [i for i in alike if budget_of(heads[i]) >= wanted]
    low, high = (below or above)[-1 if below else 0], (above or below)[0 if above else -1]
    lower, upper = budget_of(heads[low]), budget_of(heads[high])
    return _Between(low, high, alike[-1], wanted, lower, upper, float("inf") if lower == wanted else wanted)


def budget_of(head: Head) -> float:
    """The budget as a number; infinity if unlimited."""
    return float("inf") if head.budget is None else float(head.budget)


def _share(low: float, middle: float, high: float) -> float:
    """The relative position of `middle` between two values, within [0,1]; 0.5 if they are equal."""
    return min(max((middle - low) / (high - low), 0.0), 1.0) if high - low > _LEAST_MASS else 0.5


def _normal(x: float) -> float:
    return 0.5 * (1 + erf(x / sqrt(2)))
