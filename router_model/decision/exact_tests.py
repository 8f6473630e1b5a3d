"""Exact tail probabilities for guarantees, without SciPy, since the gateway computes guarantees at start-up."""

from __future__ import annotations

from math import lgamma, log, log1p

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
_HALVINGS = 60


def binomial(k: int, n: int, p: float) -> float:
    """P(X <= k) for X ~ Binomial(n, p)."""
    if k < 0:
        return 0.0
    if k >= n or p <= 0:
        return 1.0
    if p >= 1:
        return 0.0
    i = np.arange(k)
    return _sum(n * log1p(-p), np.log((n - i) / (i + 1)) + log(p) - log1p(-p))


def hypergeometric(k: int, total: int, marked: int, drawn: int) -> float:
    """P(X <= k) for X ~ Hypergeometric: the marked ones among `drawn` of `total`, without replacement."""
    least = max(0, drawn - (total - marked))
    if k < least:
        return 0.0
    if k >= min(marked, drawn):
        return 1.0
    first = _choices(marked, least) + _choices(total - marked, drawn - least) - _choices(total, drawn)
    i = np.arange(least, k, dtype=np.float64)
    ratios = (marked - i) * (drawn - i) / ((i + 1) * (total - marked - drawn + i + 1))
    return _sum(first, np.log(ratios))


def upper_bound(failures: int, n: int, delta: float) -> float:
    """The exact upper confidence bound on a failure rate, at confidence 1 - `delta`, given `failures` in `n` trials.

    "The use of confidence or fiducial limits illustrated in the case of the binomial" (Clopper, Pearson, 1934,
    Biometrika 26(4):404-413, doi:10.1093/biomet/26.4.404).
    """
    if failures >= n:
        return 1.0
    low, high = failures / n, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if binomial(failures, n, middle) > delta else (low, middle)
    return high


def _choices(n: int, k: int) -> float:
    """log of the binomial coefficient C(n, k)."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _sum(first: float, ratios: F64) -> float:
    """The sum of terms, given the log of the first term and the logs of the ratios of consecutive terms."""
    logs = first + np.concatenate([[0.0], np.cumsum(ratios)])
    most = float(logs.max())
    return float(min(1.0, np.exp(most) * np.exp(logs - most).sum()))
