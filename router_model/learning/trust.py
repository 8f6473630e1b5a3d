"""How far the outcomes that a key reports agree with what all other keys report for like requests.

Whoever reports outcomes decides for others, too: the router learns from all of them. A key whose reports differ from
the others' by more than keys usually differ loses its weight, and keeps nearly none where it contradicts them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from router_model.learning.history import History
from router_model.model.predict import Predictor

F64 = NDArray[np.float64]
# Keys differ by so much in any case, in the mean score of like requests; up to so many standard errors of that are no
# reason for doubt, and beyond the weight falls with this power.
USUAL_DIFFERENCE, UNDOUBTED, POWER = 0.05, 2.5, 4
# Below this nothing of a key is learned at all, so that it moves no decision of others.
LEAST_TRUST = 0.05
# Of fewer reports nothing can be said; with more keys than this the smallest are taken as they are.
LEAST_REPORTS, MOST_KEYS = 20, 32


def of_keys(history: History, base: Predictor) -> dict[str | None, float]:
    """The weight of each key, in [0, 1]; 1 where there are too few to compare.

    The key that contradicts the others most is taken out before these are compared again: it is no measure for them.
    """
    gone: dict[str | None, float] = {}
    while True:
        rest = history.rows(np.flatnonzero([key not in gone for key in history.keys]))
        trust = _compared(rest, base)
        worst = min(trust, key=lambda key: (trust[key], str(key)), default=None)
        if not trust or trust[worst] >= LEAST_TRUST:
            return {**trust, **gone}
        gone[worst] = 0.0


def _compared(history: History, base: Predictor) -> dict[str | None, float]:
    counts = Counter(history.keys)
    keys = [key for key, count in counts.most_common(MOST_KEYS) if count >= LEAST_REPORTS]
    trust: dict[str | None, float] = dict.fromkeys(counts, 1.0)
    if len(keys) < 3:
        return trust
    owner = np.array([keys.index(key) if key in keys else -1 for key in history.keys])
    for think in (False, True):
        columns = [place for place, arm in enumerate(history.table.arms) if arm.think == think]
        right = _mean(history.table.correct[:, columns])
        known = ~np.isnan(right)
        if known.sum() < 2 * LEAST_REPORTS:
            continue
        forecast = _forecasts(history, base, think)
        found = _differences(history.x[known], forecast[known], right[known], owner[known], len(keys))
        for key, factor in zip(keys, _factors(*found), strict=True):
            trust[key] = min(trust[key], factor)
    return trust


def _differences(
    x: NDArray[np.float32], forecast: F64, right: F64, owner: NDArray[np.int64], keys: int
) -> tuple[F64, F64]:
    """Of each key, how much better or worse its scores are than others' scores of like requests, and how sure that is:
    a mean and a standard error [keys]; infinite where nothing can be said.
    """
    inputs = np.column_stack([forecast, x]).astype(np.float64)
    mean, error = np.zeros(keys), np.full(keys, np.inf)
    for key in range(keys):
        own, others = owner == key, owner != key
        classes = right[others] >= 0.5
        if own.sum() < LEAST_REPORTS or others.sum() < LEAST_REPORTS:
            continue
        if classes.all() or not classes.any():
            expected = np.full(int(own.sum()), float(right[others].mean()))
        else:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=300))
            expected = model.fit(inputs[others], classes).predict_proba(inputs[own])[:, 1]
        rest = right[own] - expected
        mean[key] = float(rest.mean())
        error[key] = max(float(rest.std()), 0.2) / np.sqrt(len(rest))
    return mean, error


def _factors(mean: F64, error: F64) -> list[float]:
    """A half of the keys cannot be outliers: what is usual among keys is their median."""
    known = np.isfinite(error)
    if known.sum() < 3:
        return [1.0] * len(mean)
    centre = float(np.median(mean[known]))
    usual = max(USUAL_DIFFERENCE, float(np.median(np.abs(mean[known] - centre))))
    z = np.where(known, np.abs(mean - centre) / np.sqrt(np.where(known, error, 1.0) ** 2 + usual**2), 0.0)
    factors: list[float] = np.where(z > UNDOUBTED, (UNDOUBTED / np.maximum(z, UNDOUBTED)) ** POWER, 1.0).tolist()
    return factors


def _forecasts(history: History, base: Predictor, think: bool) -> F64:
    """The mean of what the base forecasts for efforts of this kind, on the logit scale [rows]."""
    heads = [place for place, head in enumerate(base.heads) if head.think == think]
    if not heads:
        return np.zeros(len(history))
    found = [base.scores(base.again(one.row, one.novelty)).p_correct for one in history.features]
    p = np.clip(np.array(found, np.float64)[:, heads].mean(axis=1), 0.001, 0.999)
    return np.asarray(np.log(p / (1 - p)))


def of_rows(trust: dict[str | None, float], keys: Sequence[str | None]) -> F64:
    return np.array([trust[key] for key in keys], np.float64)


def _mean(block: F64) -> F64:
    count = (~np.isnan(block)).sum(axis=1)
    return np.where(count > 0, np.nansum(block, axis=1) / np.maximum(count, 1), np.nan)
