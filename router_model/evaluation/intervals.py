"""95 % confidence intervals of proportions that hold near 0 and 1 and for few trials.

Wilson's score interval: "Probable Inference, the Law of Succession, and Statistical Inference" (Wilson, 1927, JASA
22(158):209-212, doi:10.1080/01621459.1927.10502953). Paired differences: "Improved confidence intervals for the
difference between binomial proportions based on paired data" (Newcombe, 1998, Statistics in Medicine 17(22):2635-2650).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

Z = 1.959963984540054


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share observed in `n` trials; [0, 1] if there are none."""
    if not n:
        return 0.0, 1.0
    square = Z * Z / n
    middle = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * sqrt(share * (1 - share) / n + square / (4 * n))
    return 0.0 if share == 0 else max(0.0, middle - half), 1.0 if share == 1 else min(1.0, middle + half)


def paired(pairs: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Newcombe's interval (his method 10) of the second share minus the first, for paired scores in [0, 1]."""
    both = one = other = neither = 0.0
    for a, b in pairs:
        both, one, other, neither = both + a * b, one + a * (1 - b), other + (1 - a) * b, neither + (1 - a) * (1 - b)
    n = both + one + other + neither
    first, second = (both + one) / n, (both + other) / n
    (low_1, high_1), (low_2, high_2) = wilson(first, round(n)), wilson(second, round(n))
    margins = (both + one) * (other + neither) * (both + other) * (one + neither)
    excess = both * neither - one * other
    corrected = max(excess - n / 2, 0.0) if excess > 0 else excess
    phi = corrected / sqrt(margins) if margins > 0 else 0.0
    below, above = second - low_2, high_1 - first
    over, under = high_2 - second, first - low_1
    difference = second - first
    return (
        difference - sqrt(max(below**2 - 2 * phi * below * above + above**2, 0.0)),
        difference + sqrt(max(over**2 - 2 * phi * over * under + under**2, 0.0)),
    )
