"""The difference of two arms' means, one value per unit, with intervals that hold at all times at once.

Each unit gives an unbiased score of the difference: what was expected of both arms before it came, plus its own
surprise over the probability of its arm ("A Generalization of Sampling Without Replacement From a Finite Universe",
Horvitz, Thompson, 1952, JASA 47:663-685; augmented: Robins, Rotnitzky, Zhao, 1994, JASA 89:846-866). Scores of bounded
values are bounded, so `mixture` holds for them without approximation, and the running mean and forecasts take out of
their variance what they explain (`regression`). Probabilities may change while an experiment runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_model.experiments import asymptotic, mixture
from router_model.experiments.asymptotic import ScaledSums
from router_model.experiments.mean import Bounds, check, merged
from router_model.experiments.mixture import BoundedSums, Capital
from router_model.experiments.regression import ArmSums, Sums, difference_of_means, expected, running

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Without bounds nothing is expected of the first units; these only say what to expect of those that follow.
WARM_UP = 20


class Units(NamedTuple):
    """Units of two arms in the order in which they came: columns [units].

    `in_arm`: assigned to the arm, not to the one it is compared with. `share`: the probability of that, among the two.
    `forecast`: of the value, made before the arm was known; NaN: none.
    """

    in_arm: Bools
    share: F64
    value: F64
    forecast: F64

    def part(self, start: int, end: int) -> Units:
        """The units from one place in the order to below another."""
        here = slice(start, end)
        return Units(self.in_arm[here], self.share[here], self.value[here], self.forecast[here])


@dataclass(frozen=True, slots=True)
class RunningDifference:
    """Sums of the units so far, a few dozen numbers whatever their count. The arm's mean minus the other's.

    `bounds` [low, high] of the values; None: none known, so intervals hold from `asymptotic.LEAST_VALUES` units of each
    arm on and as they become many. `parts`: one for each share in which units were assigned.
    """

    bounds: Bounds | None
    arm: ArmSums = field(default_factory=ArmSums)
    against: ArmSums = field(default_factory=ArmSums)
    parts: tuple[BoundedSums, ...] = ()
    scaled: ScaledSums = field(default_factory=ScaledSums)

    method = "units"

    @classmethod
    def of(cls, units: Units, bounds: Bounds | None) -> RunningDifference:
        """The difference over these units. ValueError: as `added`."""
        return cls(bounds).extended(units)

    @property
    def n(self) -> int:
        """Units that the interval rests on."""
        return self.scaled.n

    @property
    def estimate(self) -> float:
        """The difference of the arms' means, adjusted by forecasts.

        The mean score where shares have changed, as the arms' units are then of different times, or without bounds.
        """
        if len(self.parts) != 1 or not min(self.arm.n, self.against.n):
            return self.scaled.mean
        return difference_of_means(self.arm, self.against)

    @property
    def capital(self) -> Capital:
        """The evidence about the difference of bounded values."""
        return Capital(self.parts, 2 * self._width)

    def added(self, in_arm: bool, share: float, value: float, forecast: float | None = None) -> RunningDifference:
        """One unit more; fields are those of `Units`. ValueError: a value that is not finite or out of
        bounds, a share that is not within 0 and 1, or an infinite forecast."""
        x = np.nan if forecast is None else forecast
        return self.extended(Units(np.array([in_arm]), np.array([share]), np.array([value]), np.array([x])))

    def extended(self, units: Units) -> RunningDifference:
        """Many more, in the order in which they came: far cheaper than one by one. ValueError: as `added`."""
        _check(units, self.bounds)
        arm, after = running(self.arm, units.value, units.forecast, units.in_arm)
        against, against_after = running(self.against, units.value, units.forecast, ~units.in_arm)
        found = scores(units, arm, against, self.bounds)
        start = 0 if self.bounds is not None else max(0, WARM_UP - round(self.arm.n + self.against.n))
        counted = Scores(*(column[start:] for column in found))
        return replace(self, arm=after, against=against_after)._counting(counted)

    def interval(self, alpha: float) -> Bounds:
        """Bounds that hold the difference at all times with probability 1 - `alpha`. Infinite: too few units."""
        if self.bounds is None:
            return asymptotic.interval(self.enough, alpha)
        return mixture.interval(self.parts, -self._width, self._width, alpha, 2 * self._width)

    def one_sided(self, alpha: float, sign: float) -> float:
        """The lower bound (`sign` -1) or the upper one (1) alone."""
        if self.bounds is None:
            return asymptotic.one_sided(self.enough, alpha, sign)
        bound = mixture.lower if sign < 0 else mixture.upper
        return bound(self.parts, -self._width, self._width, alpha, 2 * self._width)

    def state(self) -> dict[str, Any]:
        """As JSON; `of_state` reads it."""
        return {
            "bounds": self.bounds and list(self.bounds),
            "arm": list(self.arm),
            "against": list(self.against),
            "parts": [list(part) for part in self.parts],
            "scaled": list(self.scaled),
        }

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> RunningDifference:
        return cls(
            state["bounds"] and (state["bounds"][0], state["bounds"][1]),
            ArmSums(*state["arm"]),
            ArmSums(*state["against"]),
            tuple(BoundedSums(*part) for part in state["parts"]),
            ScaledSums(*state["scaled"]),
        )

    @property
    def enough(self) -> ScaledSums:
        """The sums, once each arm has enough units to say how much their values vary; before that, none."""
        return self.scaled if min(self.arm.n, self.against.n) >= asymptotic.LEAST_VALUES else ScaledSums()

    @property
    def _width(self) -> float:
        return 0.0 if self.bounds is None else self.bounds[1] - self.bounds[0]

    def _counting(self, found: Scores) -> RunningDifference:
        """With these scores [units] counted."""
        if not len(found.score):
            return self
        scaled = merged(self.scaled, found.score)
        if self.bounds is None:
            return replace(self, scaled=scaled)
        parts = {part.scale: part for part in self.parts}
        for scale in np.unique(found.scale).tolist():
            here = found.scale == scale
            old = parts.get(scale, BoundedSums(scale))
            n, total = old.n + int(here.sum()), old.total + float(found.score[here].sum())
            parts[scale] = BoundedSums(scale, n, total, old.squares + float((found.surprise[here] ** 2).sum()))
        return replace(self, scaled=scaled, parts=tuple(parts.values()))


class Scores(NamedTuple):
    """Columns [units]: unbiased for the difference; how far from what was expected; how far that can be at most."""

    score: F64
    surprise: F64
    scale: F64


def scores(units: Units, arm: Sums, against: Sums, bounds: Bounds | None) -> Scores:
    """The score of each unit, given the sums of the units before it."""
    first, second = expected(arm, against, units.forecast, bounds)
    surprise = np.where(units.in_arm, (units.value - first) / units.share, (second - units.value) / (1 - units.share))
    width = 0.0 if bounds is None else bounds[1] - bounds[0]
    return Scores(first - second + surprise, surprise, width / np.minimum(units.share, 1 - units.share))


def _check(units: Units, bounds: Bounds | None) -> None:
    check(units.value, bounds)
    if not ((units.share > 0) & (units.share < 1)).all():
        raise ValueError("an arm's share of units lies between 0 and 1")
    if np.isinf(units.forecast).any():
        raise ValueError("a forecast is a finite number, or NaN where there is none")
