"""Time-uniform intervals of a mean without known bounds (tokens, seconds, dollars), valid as units become many.

"Time-uniform central limit theory and asymptotic confidence sequences" (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas,
2024, Annals of Statistics 52:2613-2640, doi:10.1214/24-AOS2408): Theorem 2.2 and the choice of rho in its appendix.
"""

from __future__ import annotations

from math import inf, log, sqrt
from typing import NamedTuple

# With fewer values the standard deviation is too rough an estimate for any interval.
LEAST_VALUES = 40
# After about so many values intervals are narrowest, in relation to the square root of their number.
NARROWEST_AT = 1000


class ScaledSums(NamedTuple):
    """`n` values, their `mean`, and `squares`: the sum of squared deviations from it."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def added(self, value: float) -> ScaledSums:
        """By the update of Welford (1962, Technometrics 4:419-420), which loses no digits to large means."""
        n, step = self.n + 1, value - self.mean
        mean = self.mean + step / n
        return ScaledSums(n, mean, self.squares + step * (value - mean))

    def deviation(self) -> float:
        """The standard deviation; 0 of fewer than two values."""
        return sqrt(self.squares / (self.n - 1)) if self.n > 1 else 0.0


def radius(n: int, deviation: float, alpha: float, narrowest_at: int = NARROWEST_AT) -> float:
    """Half the width of the interval after `n` values of this standard deviation; infinite below `LEAST_VALUES`.

    ValueError: `alpha` is not within 0 and 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"a level lies between 0 and 1: {alpha}")
    if n < LEAST_VALUES:
        return inf
    rho2 = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / narrowest_at
    spread = n * rho2 + 1
    return deviation * sqrt(2 * spread / (n * n * rho2) * log(sqrt(spread) / alpha))


def interval(sums: ScaledSums, alpha: float) -> tuple[float, float]:
    """Bounds that hold the mean at all times at once with probability 1 - `alpha`, as values become many."""
    half = radius(sums.n, sums.deviation(), alpha)
    return sums.mean - half, sums.mean + half


def one_sided(sums: ScaledSums, alpha: float, sign: float) -> float:
    """The lower bound (`sign` -1) or the upper one (1) at `alpha`: that of the two-sided interval at 2 * alpha."""
    return sums.mean + sign * radius(sums.n, sums.deviation(), min(2 * alpha, 0.999))
