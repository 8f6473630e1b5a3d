"""Baselines for routers: rankings for the same pair of arms, with less (or more) information than a router has.

Each baseline is a score per prompt; the highest scores go to the strong arm first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from router_model.data.outcomes import Arm, Outcomes, row_means
from router_model.features.request import text_of

F64 = NDArray[np.float64]
FOLDS = 5

ABOUT = {
    "random": "random choice; .5 by construction",
    "length": "longer prompts (characters of all messages) first; without training",
    "best_fixed": "one effort for all, the most accurate; for areas, random mixing of the best fixed efforts",
    "dataset": "mean gain of the task's other prompts (5 folds): what the task's name alone predicts",
    "ceiling": "gain regressed (5 folds) on the outcomes of the models outside the pair on the same prompt: "
    "difficulty without this pair's noise",
    "oracle": "this pair's own outcomes, including noise: no router can reach it",
}


@dataclass(frozen=True, slots=True)
class Scores:
    """`calls` ranks by gain, `tokens` by gain per token (None where tokens are unknown)."""

    calls: F64
    tokens: F64 | None


def scores(table: Outcomes, weak: Arm, strong: Arm) -> dict[str, Scores | None]:
    """All baselines that are rankings, for prompts with outcomes of both arms; None: not defined for this table."""
    w, s = table.arms.index(weak), table.arms.index(strong)
    gain = table.correct[:, s] - table.correct[:, w]
    cost = table.completion[:, s] - table.completion[:, w]
    known_cost = None if np.isnan(cost).any() else cost
    folds = fold_of(table)
    longer = length(table)
    return {
        "length": Scores(longer, longer),
        "dataset": _dataset(table, gain, known_cost, folds),
        "ceiling": _ceiling(table, gain, known_cost, folds, (weak, strong)),
        "oracle": _per_token(gain, known_cost),
    }


def length(table: Outcomes) -> F64:
    """The number of characters of all messages of each prompt."""
    return np.array([float(sum(len(text_of(m)) for m in prompt.messages)) for prompt in table.prompts])


def fold_of(table: Outcomes) -> NDArray[np.int64]:
    """A fold for every prompt; prompts of one group share it."""
    groups = np.unique([prompt.group for prompt in table.prompts], return_inverse=True)[1]
    fold_of_group = np.random.default_rng(0).permutation(int(groups.max()) + 1) % FOLDS
    folds: NDArray[np.int64] = fold_of_group[groups]
    return folds


def _dataset(table: Outcomes, gain: F64, cost: F64 | None, folds: NDArray[np.int64]) -> Scores:
    tasks = np.unique([prompt.task for prompt in table.prompts], return_inverse=True)[1]
    mean_gain = _cross_fitted_mean(gain, tasks, folds)
    return _per_token(mean_gain, None if cost is None else _cross_fitted_mean(cost, tasks, folds))


def _cross_fitted_mean(values: F64, tasks: NDArray[np.int64], folds: NDArray[np.int64]) -> F64:
    out = np.zeros(len(values))
    n = int(tasks.max()) + 1
    for fold in range(FOLDS):
        others, own = folds != fold, folds == fold
        if not others.any():
            continue
        total = np.bincount(tasks[others], values[others], minlength=n)
        count = np.bincount(tasks[others], minlength=n)
        # A task without prompts in the other folds gets the overall mean.
        means = np.where(count > 0, total / np.maximum(count, 1), values[others].mean())
        out[own] = means[tasks[own]]
    return out


def _ceiling(
    table: Outcomes, gain: F64, cost: F64 | None, folds: NDArray[np.int64], pair: tuple[Arm, Arm]
) -> Scores | None:
    """What difficulty alone predicts: the gain, regressed on the mean success of the models outside the pair."""
    others = [j for j, arm in enumerate(table.arms) if arm.model not in {pair[0].model, pair[1].model}]
    views = [
        row_means(table.correct[:, [j for j in others if table.arms[j].think == think]]) for think in (False, True)
    ]
    views.append(row_means(table.correct[:, others]))
    if np.isnan(views[-1]).mean() > 0.5:
        return None
    x = np.stack(views, axis=1)
    fitted = [_cross_fitted_trees(x, values, folds) for values in (gain, cost) if values is not None]
    return _per_token(fitted[0], fitted[1] if len(fitted) > 1 else None)


def _cross_fitted_trees(x: F64, y: F64, folds: NDArray[np.int64]) -> F64:
    out = np.zeros(len(y))
    for fold in range(FOLDS):
        others, own = folds != fold, folds == fold
        if own.any() and others.any():
            small = HistGradientBoostingRegressor(
                max_iter=60, max_leaf_nodes=6, min_samples_leaf=20, learning_rate=0.1, random_state=0
            )
            out[own] = small.fit(x[others], y[others]).predict(x[own])
    return out


def _per_token(gain: F64, cost: F64 | None) -> Scores:
    return Scores(gain, None if cost is None else per_token(gain, cost))


def per_token(gain: F64, cost: F64) -> F64:
    """Gain per additional token. Without additional cost, a gain counts as +infinity and a loss as -infinity."""
    ratio: F64 = gain / np.maximum(cost, 1e-9)
    return np.where(cost > 0, ratio, np.where(gain >= 0, np.inf, -np.inf))
