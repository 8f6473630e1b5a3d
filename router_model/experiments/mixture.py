"""Time-uniform bounds on a mean of bounded values, from sums alone: the empirical-Bernstein mixture. NumPy only.

For values x with mean m and a centre c that was known before x was, where x - c >= -scale, the product of
exp(l * (x - m) - psi(l) * (x - c)^2), psi(l) = (-log(1 - l * scale) - l * scale) / scale^2, is a nonnegative
supermartingale for each l in [0, 1/scale): "Time-uniform, nonparametric, nonasymptotic confidence sequences" (Howard,
Ramdas, McAuliffe, Sekhon, 2021, Annals of Statistics 49:1055-1080, doi:10.1214/20-AOS1991, Theorem 4), and "Estimating
means of bounded random variables by betting" (Waudby-Smith, Ramdas, 2024, JRSS B 86:1-27,
doi:10.1093/jrsssb/qkad009, Theorem 2). A mixture over l is one too (discrete mixtures: Howard et al., section 3.4), so
by Ville's inequality it reaches 1/alpha with probability at most alpha at any time, however often one looks. A mixture
over a geometric grid needs no number of values to be tuned for: its half-width is 3.6 to 3.9 standard deviations /
sqrt(n) from 500 to a million values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

# Bets in units of 1/`unit`, from bold ones that pay after some ten values to timid ones that pay after millions.
_BETS = 0.8 * 1.7 ** -np.arange(20.0)
_WEIGHTS = (np.arange(20.0) + 2) ** -1.4
_LOG_WEIGHTS = np.log(_WEIGHTS / _WEIGHTS.sum())
# Each section narrows a bound down by 32, so nine of them to what a double holds.
_STEPS = np.linspace(0.0, 1.0, 33)
_SECTIONS = 9


class BoundedSums(NamedTuple):
    """Sums over values that lie at most `scale` from their centres on either side.

    `n` values, their `total`, and `squares`: the sum of squared distances from the centres, each of which was known
    before its value was.
    """

    scale: float
    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def added(self, value: float, centre: float) -> BoundedSums:
        return BoundedSums(self.scale, self.n + 1, self.total + value, self.squares + (value - centre) ** 2)


class Capital(NamedTuple):
    """Evidence about a mean. Each part has its own scale; parts that follow each other in time count together.

    `unit` is the least scale that a part may have, fixed before the first value.
    """

    parts: Sequence[BoundedSums]
    unit: float = 1.0

    def mirrored(self) -> Capital:
        """The same of the values' negatives."""
        return Capital([part._replace(total=-part.total) for part in self.parts], self.unit)


def lower_of(capitals: Iterable[Capital], low: float, high: float, alpha: float) -> float:
    """A bound in [low, high] that the mean is below with probability at most `alpha` at any time.

    Several capitals are multiplied: each value belongs to one of them, and all have the same mean.
    ValueError: `alpha` is not within 0 and 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"a level lies between 0 and 1: {alpha}")
    lines = [_lines(parts, 1.0, unit) for parts, unit in capitals]
    return _crossing(lines, low, high, -log(alpha))


def upper_of(capitals: Iterable[Capital], low: float, high: float, alpha: float) -> float:
    """The same from above."""
    return -lower_of([capital.mirrored() for capital in capitals], -high, -low, alpha)


def lower(parts: Iterable[BoundedSums], low: float, high: float, alpha: float, unit: float = 1.0) -> float:
    """`lower_of` one capital."""
    return lower_of([Capital([*parts], unit)], low, high, alpha)


def upper(parts: Iterable[BoundedSums], low: float, high: float, alpha: float, unit: float = 1.0) -> float:
    """The same from above."""
    return upper_of([Capital([*parts], unit)], low, high, alpha)


def interval(
    parts: Sequence[BoundedSums], low: float, high: float, alpha: float, unit: float = 1.0
) -> tuple[float, float]:
    """Bounds that hold the mean at all times at once with probability 1 - `alpha`."""
    return lower(parts, low, high, alpha / 2, unit), upper(parts, low, high, alpha / 2, unit)


def evidence(parts: Iterable[BoundedSums], mean: float, sign: float, unit: float = 1.0) -> float:
    """The logarithm of the capital against a mean of at most (`sign` 1) or at least (-1) `mean`.

    Its exponential is an e-value at any time: 1/capital is an always-valid p.
    """
    gains, stakes = _lines(parts, sign, unit)
    return float(_log_capital(gains - stakes * sign * mean))


def _lines(parts: Iterable[BoundedSums], sign: float, unit: float) -> tuple[F64, F64]:
    """The logarithm of each bet's capital is gain - stake * mean: both [bets]."""
    gains, stakes = np.zeros(len(_BETS)), np.zeros(len(_BETS))
    for scale, n, total, squares in parts:
        # One grid of bets for all parts; where the scale is wider, bold ones are cut to what is allowed there.
        bets = np.minimum(_BETS / unit, _BETS[0] / scale)
        psi = (-np.log1p(-bets * scale) - bets * scale) / scale**2
        gains += bets * sign * total - psi * squares
        stakes += bets * n
    return gains, stakes


def _log_capital(logs: F64) -> F64:
    """The logarithm of the mixture [...] over bets [..., bets]."""
    weighted = logs + _LOG_WEIGHTS
    most = weighted.max(axis=-1)
    capital: F64 = most + np.log(np.exp(weighted - most[..., None]).sum(axis=-1))
    return capital


def _crossing(lines: Sequence[tuple[F64, F64]], low: float, high: float, threshold: float) -> float:
    """The highest mean at which the product of the capitals, which falls in the mean, still reaches the threshold;
    `low` if none.
    """
    for _ in range(_SECTIONS):
        means = low + (high - low) * _STEPS
        # How many of the first means reach it: with none the bound is where it was.
        logs = sum((_log_capital(gains - stakes * means[:, None]) for gains, stakes in lines), np.zeros(len(means)))
        reached = int(np.count_nonzero(logs >= threshold))
        if reached == 0:
            return low
        if reached == len(means):
            return high
        low, high = float(means[reached - 1]), float(means[reached])
    return low
