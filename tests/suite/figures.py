"""How well decisions follow the grades of the suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
TRIVIAL, HARD = 0, 3


class Figures(NamedTuple):
    """`rho`: Spearman's rank correlation of the decided effort with difficulty, `rho_gain` that of the forecast gain
    from thinking. `trivial`, `hard`: the share of those prompts that think. `pairs`: of all pairs of a trivial and a
    hard prompt, the share in which the hard one gets more (equal efforts count half), `pairs_gain` by forecast gain.
    `fallbacks`: the share without a decision of the router's own.
    """

    prompts: int
    rho: float
    rho_gain: float
    trivial: float
    hard: float
    pairs: float
    pairs_gain: float
    fallbacks: float


def figures(difficulty: Sequence[int], effort: Sequence[float], gain: Sequence[float], fell: Sequence[bool]) -> Figures:
    """`effort` is the size of each decided effort, infinity for unlimited; `gain` in P(correct), NaN where unknown."""
    graded = np.asarray(difficulty, np.float64)
    sizes = np.asarray(effort, np.float64)
    gains = np.nan_to_num(np.asarray(gain, np.float64))
    trivial, hard = graded == TRIVIAL, graded == HARD
    thinks = sizes > 0
    return Figures(
        len(graded),
        spearman(sizes, graded),
        spearman(gains, graded),
        _mean(thinks[trivial]),
        _mean(thinks[hard]),
        in_order(sizes[trivial], sizes[hard]),
        in_order(gains[trivial], gains[hard]),
        _mean(np.asarray(fell)),
    )


def spearman(x: F64, y: F64) -> float:
    """Spearman's rank correlation, ties sharing their mean rank; 0 where one of both is constant."""
    a, b = ranks(x), ranks(y)
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0


def ranks(x: F64) -> F64:
    _, at, count = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    middle: F64 = (ends - (count - 1) / 2)[at]
    return middle


def in_order(low: F64, high: F64) -> float:
    """The share of pairs in which `high` is greater; equal pairs count half."""
    if not len(low) or not len(high):
        return float("nan")
    return float(((high[:, None] > low).mean() + (high[:, None] >= low).mean()) / 2)


def _mean(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
