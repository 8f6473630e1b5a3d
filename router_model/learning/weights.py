"""How much each request of a history counts: by its age, its key, and how often the same prompt came."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_model.learning.history import History

F64 = NDArray[np.float64]
# Equal prompts count as at most so many requests, or this share of all, whichever is more.
EQUAL_PROMPTS, EQUAL_SHARE = 20.0, 0.01


def by_age(time: F64, now: float, half_life_s: float) -> F64:
    """[rows]: 1 of now, a half after each half-life. A time that has yet to come, by a clock that jumped, is now."""
    return np.asarray(0.5 ** (np.maximum(now - time, 0.0) / half_life_s))


def capped(weight: F64, groups: Sequence[object], most: float, share: float) -> F64:
    """No group of rows weighs more than `most` or than this `share` of all, whichever is more."""
    codes = _codes(groups)
    found = weight.copy()
    # The total shrinks with each cap, so that the share is that of what is left.
    for _ in range(20):
        total = np.bincount(codes, found)
        limit = max(most, share * float(found.sum()))
        if (total <= limit * (1 + 1e-9)).all():
            break
        found = found * np.minimum(1.0, limit / np.maximum(total, 1e-12))[codes]
    return found


def of_requests(history: History, now: float, half_life_s: float, most_of_key: float, trust: F64) -> F64:
    """[rows]; `trust` [rows] is that of the key of each."""
    weight = history.weight * by_age(history.time, now, half_life_s)
    weight = capped(weight, [one.group for one in history.features], EQUAL_PROMPTS, EQUAL_SHARE)
    weight = weight * trust
    keys = {key for key, counts in zip(history.keys, trust.tolist(), strict=True) if counts}
    if len(keys) > 1:
        weight = capped(weight, history.keys, 0.0, max(most_of_key, 1 / len(keys)))
    return weight


def thinned(weight: F64) -> NDArray[np.intp]:
    """The rows to learn from: each with a probability of its weight, relative to the greatest one, by systematic
    sampling in their order, which is the same each time.
    """
    most = float(weight.max(initial=0.0))
    if most <= 0:
        return np.zeros(0, np.intp)
    reached = np.floor(np.cumsum(weight / most) + 1e-9)
    return np.flatnonzero(np.diff(reached, prepend=0.0) > 0)


def _codes(groups: Sequence[object]) -> NDArray[np.int64]:
    codes: dict[object, int] = {}
    return np.array([codes.setdefault(one, len(codes)) for one in groups], np.int64)
