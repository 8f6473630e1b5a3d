"""Regret for the choice between two arms: the loss compared with knowing every outcome, at every price.

The utility of an answer is its correctness minus the price of its cost. Prices are scaled by the mean extra cost of
thinking: at a price of .05, the mean extra cost of thinking is worth five points of accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.evaluation import metrics

F64 = NDArray[np.float64]
PRICES = np.geomspace(0.002, 1.0, 40)


def figures(gain: F64, cost: F64, masks: Mapping[str, NDArray[np.bool_]], cuts: Mapping[str, F64]) -> dict[str, Any]:
    """Regret at PRICES and its mean, by policy. `gain`, `cost` [prompts]: differences of the strong arm to the weak
    one.

    `masks` [prompts, PRICES]: the prompts that a policy sends to the strong arm; `cuts`: scores [prompts], with the
    best threshold in hindsight at every price. Also for `best_fixed` and `random` (a fair coin).
    """
    worth = gain[:, None] - PRICES * (cost / cost.mean())[:, None]
    best = np.maximum(worth, 0)
    fixed = np.where(worth.mean(axis=0) > 0, worth, 0.0)
    utilities = {name: np.where(mask, worth, 0.0) for name, mask in masks.items()}
    utilities |= {name: _cut(score, worth) for name, score in cuts.items()}
    utilities |= {"random": worth / 2, "best_fixed": fixed}
    times = metrics.resamples(len(gain), 200)
    lost = {name: best - utility for name, utility in utilities.items()}
    curves = {name: values.mean(axis=0) for name, values in lost.items()}
    recovered = {
        name: _share(times @ (utility - fixed).sum(axis=1), times @ (best - fixed).sum(axis=1))
        for name, utility in utilities.items()
    }
    return {
        "prices": PRICES.tolist(),
        "curves": {name: curve.tolist() for name, curve in curves.items()},
        "mean": {name: float(curve.mean()) for name, curve in curves.items()},
        "mean_ci": {name: metrics.interval(times @ values.mean(axis=1) / len(gain)) for name, values in lost.items()},
        "recovered_gap": {
            name: float((utility - fixed).sum() / total) if (total := float((best - fixed).sum())) > 0 else None
            for name, utility in utilities.items()
        },
        "recovered_gap_ci": {name: metrics.interval(draws) for name, draws in recovered.items()},
    }


def _cut(score: F64, worth: F64) -> F64:
    """Utilities when the highest scores go to the strong arm, with the best threshold at each price."""
    order, ends = metrics.groups(score)
    total = np.vstack([np.zeros(worth.shape[1]), np.cumsum(worth[order], axis=0)[ends]])
    upto = np.append(0, ends + 1)[total.argmax(axis=0)]
    rank = np.empty(len(score), np.int64)
    rank[order] = np.arange(len(score))
    taken: F64 = np.where(rank[:, None] < upto, worth, 0.0)
    return taken


def _share(part: F64, whole: F64) -> F64:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)
