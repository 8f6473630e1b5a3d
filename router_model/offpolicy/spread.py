"""How a policy that explores multiplies the price of a token. Plain Python, because the gateway draws by it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from math import exp, inf, isfinite, log
from statistics import NormalDist
from typing import NamedTuple

_STANDARD = NormalDist()
# Steps below the price without exploration, and as many above it.
SIDE = 4


class Spread(NamedTuple):
    """Of a `share` of all draws the logarithm of the factor is spread over the intervals between neighbouring `steps`,
    each as likely as another, and evenly within; all other draws leave the price as it is.

    `steps` rise, 0 is in their middle, and there are none where nothing is random.
    """

    share: float = 0.0
    steps: tuple[float, ...] = ()

    @classmethod
    def of(cls, share: float, steps: Iterable[float]) -> Spread:
        """ValueError: a share that is not above 0 and at most 1, or steps that do not rise from below 0 to above it."""
        spread = cls(share, tuple(steps))
        rises = [*spread.steps] == sorted(spread.steps) and all(map(isfinite, spread.steps))
        if not 0 < share <= 1 or len(spread.steps) != 2 * SIDE + 1 or spread.steps[SIDE] != 0 or not rises:
            raise ValueError(f"a spread has a share of the draws, and {2 * SIDE + 1} rising steps around 0")
        return spread

    @classmethod
    def even(cls, share: float, farthest: float) -> Spread:
        """As far below the price as above it."""
        return cls.of(share, (farthest * step / SIDE for step in range(-SIDE, SIDE + 1)))

    def factor(self, z: float) -> float:
        """At a draw from the standard normal distribution; it rises with the draw."""
        if not self.steps:
            return 1.0
        drawn, half = _STANDARD.cdf(z), self.share / 2
        if half <= drawn <= 1 - half:
            return 1.0
        place = (drawn if drawn < half else drawn - (1 - self.share)) / self.share * 2 * SIDE
        step = min(int(place), 2 * SIDE - 1)
        return exp(self.steps[step] + (place - step) * (self.steps[step + 1] - self.steps[step]))

    def below(self, factor: float) -> float:
        """The probability of a smaller factor."""
        if not self.steps:
            return float(factor > 1)
        at = log(factor) if 0 < factor < inf else -inf if factor <= 0 else inf
        step = bisect_left(self.steps, at)
        if step in (0, len(self.steps)):
            return float(step > 0)
        low, high = self.steps[step - 1], self.steps[step]
        moved = (step - 1 + (at - low) / (high - low)) / (2 * SIDE)
        return self.share * moved + (1 - self.share) * (at > 0)


FIXED = Spread()
