"""Checks whether forecasts from text transfer to new kinds of tasks, by their performance on left-out kinds.

A good ranking may be due to a single kind, so the check resamples whole kinds (a cluster bootstrap), and the ranking
must beat chance in most resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from router_model.evaluation import metrics

F64 = NDArray[np.float64]
DRAWS = 400
# Not 95 %, since trusting wrongly costs about as much as falling back wrongly.
CONFIDENCE = 0.8
# With fewer kinds the bootstrap is not meaningful.
LEAST_KINDS = 10


def holds(p_correct: F64, correct: F64, kinds: NDArray[np.int64]) -> bool:
    """Whether out-of-fold forecasts [prompts, efforts] rank prompts by the gain of the most over the least accurate
    effort better than chance, in a share CONFIDENCE of all draws. `correct` [prompts, efforts], NaN where unknown.
    """
    return share(p_correct, correct, kinds) >= CONFIDENCE


def share(p_correct: F64, correct: F64, kinds: NDArray[np.int64]) -> float:
    """The share of draws of kinds in which they do; 0 with too few kinds."""
    known = ~np.isnan(correct)
    accuracy = np.where(known, correct, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    low, high = int(accuracy.argmin()), int(accuracy.argmax())
    both = known[:, low] & known[:, high]
    if low == high or not both.any():
        return 0.0
    gain = (correct[:, high] - correct[:, low])[both]
    order, ends = metrics.groups((p_correct[:, high] - p_correct[:, low])[both])
    names = np.unique(kinds[both], return_inverse=True)[1][order]
    rng, better, n = np.random.default_rng(0), 0, int(names.max()) + 1
    if n < LEAST_KINDS:
        return 0.0
    for _ in range(DRAWS):
        times = np.bincount(rng.integers(0, n, n), minlength=n)[names]
        x, y = (np.append(0.0, np.cumsum(part)[ends]) for part in (times, times * gain[order]))
        better += metrics.area(x, y) > 0.5
    return better / DRAWS
