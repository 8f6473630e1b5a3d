"""What a value is expected to be before it is known: the running mean of its arm, and a share of its forecast's excess.

Variance reduction by forecast: "Improving the Sensitivity of Online Controlled Experiments by Utilizing Pre-Experiment
Data" (Deng, Xu, Kohavi, Walker, 2013, WSDM, doi:10.1145/2433396.2433413), with a slope that is fitted to earlier units
only, so that intervals keep what they promise at any time. The slope is common to both arms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

# The slope starts at 0 and is trusted as if so many units had shown no relation.
_CAUTION = 10.0


class ArmSums(NamedTuple):
    """Sums of one arm's units: `n` of them with values `y`; `known` of these have a forecast x, with their own sums."""

    n: float = 0.0
    y: float = 0.0
    known: float = 0.0
    x: float = 0.0
    y_known: float = 0.0
    xx: float = 0.0
    xy: float = 0.0


class Sums(NamedTuple):
    """`ArmSums` of many moments at once: every field [moments]."""

    n: F64
    y: F64
    known: F64
    x: F64
    y_known: F64
    xx: F64
    xy: F64


def running(start: ArmSums, y: F64, x: F64, here: NDArray[np.bool_]) -> tuple[Sums, ArmSums]:
    """The sums before each unit [units] came, and after the last, from those at the start and the units
    that are `here`.

    `y` [units] values, `x` [units] forecasts, NaN where there is none.
    """
    with_x = here & ~np.isnan(x)
    x_or_0 = np.where(with_x, x, 0.0)
    columns = (here, here * y, with_x, x_or_0, with_x * y, x_or_0 * x_or_0, x_or_0 * y)
    sums = [
        first + np.concatenate([[0.0], np.cumsum(one, dtype=np.float64)])
        for first, one in zip(start, columns, strict=True)
    ]
    return Sums(*(one[:-1] for one in sums)), ArmSums(*(float(one[-1]) for one in sums))


def slope_and_mean(one: Sums, other: Sums) -> tuple[F64, F64]:
    """How much of a forecast's excess over the mean forecast is expected to be seen in the value, and that mean."""
    known = one.known + other.known
    mean = (one.x + other.x) / np.maximum(known, 1.0)
    xx, xy = np.zeros_like(known), np.zeros_like(known)
    for arm in (one, other):
        n = np.maximum(arm.known, 1.0)
        xx += arm.xx - arm.x * arm.x / n
        xy += arm.xy - arm.x * arm.y_known / n
    varies = xx > 1e-9 * (one.xx + other.xx)
    slope = np.where(varies, xy / np.where(varies, xx, 1.0), 0.0) * known / (known + _CAUTION)
    return slope, mean


def expected(one: Sums, other: Sums, x: F64, bounds: tuple[float, float] | None) -> tuple[F64, F64]:
    """What the next unit is expected to bring in either arm; the difference of the two does not depend on `x`.

    With `bounds` of the values both lie within them.
    """
    prior, weight = (0.0, 0.0) if bounds is None else (sum(bounds) / 2, 1.0)
    n = one.n + other.n + weight
    pooled = (one.y + other.y + prior * weight) / np.maximum(n, 1.0)
    first, second = ((pooled + arm.y) / (1 + arm.n) for arm in (one, other))
    slope, mean = slope_and_mean(one, other)
    shift = np.where(np.isnan(x), 0.0, slope * (x - mean))
    if bounds is not None:
        shift = np.clip(shift, bounds[0] - np.minimum(first, second), bounds[1] - np.maximum(first, second))
    return first + shift, second + shift


def difference_of_means(one: ArmSums, other: ArmSums) -> float:
    """Of two arms with units, less what their forecasts' difference explains."""
    slope, mean = slope_and_mean(*(Sums(*(np.array(each) for each in arm)) for arm in (one, other)))
    first, second = ((arm.y - slope * (arm.x - arm.known * mean)) / arm.n for arm in (one, other))
    return float(first - second)
