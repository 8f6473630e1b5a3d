"""The mean of one value per unit, with intervals that hold at all times at once; paired differences are such means."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.experiments import asymptotic, mixture
from router_model.experiments.asymptotic import ScaledSums
from router_model.experiments.mixture import BoundedSums, Capital

F64 = NDArray[np.float64]
Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class RunningMean:
    """Sums of the values so far, a few numbers whatever their count.

    With `bounds` [low, high] of the values intervals hold for any number of them (`mixture`); without, from
    `asymptotic.LEAST_VALUES` on and as they become many. `reach`: how far at most the centre of squares may be from the
    middle of the bounds.
    """

    bounds: Bounds | None
    reach: float
    bounded: BoundedSums
    scaled: ScaledSums = field(default_factory=ScaledSums)

    @classmethod
    def empty(cls, bounds: Bounds | None) -> RunningMean:
        """Of values within `bounds`. ValueError: low is not below high."""
        return cls._of(bounds, 0.5)

    @classmethod
    def of_differences(cls, bounds: Bounds | None) -> RunningMean:
        """Of differences of two values within `bounds`, made for the same unit; most of them are near 0."""
        return cls._of(None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0]), 0.125)

    @classmethod
    def _of(cls, bounds: Bounds | None, share: float) -> RunningMean:
        if bounds is not None and not bounds[0] < bounds[1]:
            raise ValueError(f"the lower bound of a metric is below its upper one: {bounds}")
        width = 0.0 if bounds is None else bounds[1] - bounds[0]
        return cls(bounds, share * width, BoundedSums((0.5 + share) * width))

    @property
    def n(self) -> int:
        return self.scaled.n

    @property
    def estimate(self) -> float:
        return self.scaled.mean

    @property
    def capital(self) -> Capital:
        """The evidence about the mean of bounded values."""
        return Capital([self.bounded], self.bounded.scale)

    def added(self, value: float) -> RunningMean:
        """ValueError: the value is not finite or not within the bounds."""
        check(np.array([value]), self.bounds)
        if self.bounds is None:
            return replace(self, scaled=self.scaled.added(value))
        middle = sum(self.bounds) / 2
        centre = (middle + self.bounded.total) / (1 + self.bounded.n)
        centre = min(max(centre, middle - self.reach), middle + self.reach)
        return replace(self, bounded=self.bounded.added(value, centre), scaled=self.scaled.added(value))

    def extended(self, values: F64) -> RunningMean:
        """`added`, one value [n] after the other."""
        check(values, self.bounds)
        if not len(values):
            return self
        scaled = merged(self.scaled, values)
        if self.bounds is None:
            return replace(self, scaled=scaled)
        sums, middle = self.bounded, sum(self.bounds) / 2
        before = sums.total + np.concatenate([[0.0], np.cumsum(values)[:-1]])
        centres = (middle + before) / (1 + sums.n + np.arange(len(values)))
        centres = np.clip(centres, middle - self.reach, middle + self.reach)
        squares = float(((values - centres) ** 2).sum())
        bounded = BoundedSums(
            sums.scale, sums.n + len(values), sums.total + float(values.sum()), sums.squares + squares
        )
        return replace(self, bounded=bounded, scaled=scaled)

    def interval(self, alpha: float) -> Bounds:
        """Bounds that hold the mean at all times with probability 1 - `alpha`. Infinite: too few values."""
        if self.bounds is None:
            return asymptotic.interval(self.scaled, alpha)
        return mixture.interval([self.bounded], *self.bounds, alpha, self.bounded.scale)

    def one_sided(self, alpha: float, sign: float) -> float:
        """The lower bound (`sign` -1) or the upper one (1) alone."""
        if self.bounds is None:
            return asymptotic.one_sided(self.scaled, alpha, sign)
        bound = mixture.lower if sign < 0 else mixture.upper
        return bound([self.bounded], *self.bounds, alpha, self.bounded.scale)

    def state(self) -> dict[str, Any]:
        """As JSON; `of_state` reads it."""
        return {
            "bounds": self.bounds and list(self.bounds),
            "reach": self.reach,
            "bounded": list(self.bounded),
            "scaled": list(self.scaled),
        }

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> RunningMean:
        bounds = state["bounds"] and (state["bounds"][0], state["bounds"][1])
        return cls(bounds, state["reach"], BoundedSums(*state["bounded"]), ScaledSums(*state["scaled"]))


def merged(sums: ScaledSums, values: F64) -> ScaledSums:
    """Sums with so many values [n] more: "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances"
    (Chan, Golub, LeVeque, 1979, Stanford STAN-CS-79-773)."""
    count, mean = len(values), float(values.mean())
    n, step = sums.n + count, mean - sums.mean
    squares = sums.squares + float(((values - mean) ** 2).sum()) + step * step * sums.n * count / n
    return ScaledSums(n, sums.mean + step * count / n, squares)


def check(values: F64, bounds: Bounds | None) -> None:
    """ValueError: one is not finite or not within the bounds."""
    if not len(values):
        return
    low, high = float(values.min()), float(values.max())
    if not (isfinite(low) and isfinite(high)):
        raise ValueError("values are finite numbers")
    if bounds is not None and not (bounds[0] <= low and high <= bounds[1]):
        raise ValueError(f"a value is not within {bounds[0]:g} and {bounds[1]:g}")
