"""Transfers the forecasts of one router to new efforts, from few outcomes.

A new effort is modelled as a mixture of known ones: the nearest effort with an offset and a slope, plus small weights
on the others as far as outcomes support them. Mixtures of one kind (thinking or not) share their weights until their
own outcomes differ. A few trees of the operator's own fit what no mixture can. Tree outputs are sums over leaves, so a
mixture of trees is again a set of trees: the result is an artifact like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.model.trees import F32, Trees
from router_model.training.calibration import likeliest

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """How strongly a mixture is shrunk to its starting point: precisions of normal priors on the logit scale.

    `slope`: of the nearest effort's slope, around 1; `lean`: of the other efforts' weights, around those shared by
    their kind; `offset`: of the offset, around the nearest effort's; `probe`: of the effect of one standard deviation
    of a probe's features.
    """

    slope: float = 3.0
    lean: float = 300.0
    offset: float = 1.0
    probe: float = 20.0


@dataclass(frozen=True, slots=True)
class Mixture:
    """New outputs = `offset` [new] + outputs @ `weights` [outputs, new]."""

    weights: Matrix
    offset: Matrix

    def __call__(self, outputs: Matrix) -> Matrix:
        return np.asarray(outputs @ self.weights + self.offset)


def mixture(
    outputs: Matrix,
    targets: Matrix,
    nearest: Matrix,
    kinds: Sequence[bool],
    how: Shrinkage,
    logistic: bool,
    weight: Matrix,
) -> Mixture:
    """Fit new outputs to `targets` [rows, new], probabilities if `logistic`; NaN: unknown.

    `outputs` [rows, old]; `nearest` [old, new] is the starting mixture; outputs of one of the `kinds` [new] share
    weights; `weight` [rows] are sample weights.
    """  # fmt: skip
    centre = outputs.mean(axis=0)
    centred = outputs - centre
    weights, offset = np.zeros_like(nearest), np.zeros(nearest.shape[1])
    for kind in sorted(set(kinds)):
        columns = [j for j, k in enumerate(kinds) if k == kind]
        shared = _shared(centred, targets, nearest, columns, how, logistic, weight)
        for j in columns:
            x = np.column_stack([np.ones(len(outputs)), centred @ nearest[:, j], centred])
            precision = np.array([how.offset, how.slope, *np.full(len(centre), how.lean)])
            start = np.concatenate([[centre @ nearest[:, j], shared[0]], shared[1:]])
            fitted = likeliest(x, targets[:, j], start, precision, logistic, weight)
            weights[:, j] = fitted[1] * nearest[:, j] + fitted[2:]
            offset[j] = fitted[0] - centre @ weights[:, j]
    return Mixture(weights, offset)


def _shared(
    centred: Matrix,
    targets: Matrix,
    nearest: Matrix,
    columns: Sequence[int],
    how: Shrinkage,
    logistic: bool,
    weight: Matrix,
) -> Matrix:
    """The slope and weights that fit all these outputs jointly, with separate offsets."""  # fmt: skip
    n, k = len(centred), len(columns)
    own = np.eye(k)
    x = np.concatenate(
        [np.column_stack([np.tile(own[i], (n, 1)), centred @ nearest[:, j], centred]) for i, j in enumerate(columns)]
    )
    precision = np.array([*np.full(k, how.offset), how.slope, *np.full(centred.shape[1], how.lean)])
    start = np.zeros(len(precision))
    start[k] = 1.0
    # Outcomes of several efforts on one prompt are strongly correlated, so together they count as one.
    fitted = likeliest(x, targets[:, columns].T.ravel(), start, precision, logistic, np.tile(weight, k) / k)
    return fitted[k:]


def staircases(columns: Sequence[int], x: Matrix, leaves: int, outputs: int) -> tuple[Trees, Matrix]:
    """One tree per column of `x` whose leaves are the column's quantiles, with all `outputs` values 0.

    Also the mean of the column in each leaf [columns, leaves]. `columns` are their indices among the features.
    """
    splits = leaves - 1
    thresholds = np.quantile(x, np.arange(1, leaves) / leaves, axis=0).astype(np.float32)
    at = np.stack([np.searchsorted(thresholds[:, j], x[:, j].astype(np.float32)) for j in range(x.shape[1])], axis=1)
    means = np.zeros((x.shape[1], leaves))
    for j in range(x.shape[1]):
        middle = np.concatenate([[x[:, j].min()], (thresholds[1:, j] + thresholds[:-1, j]) / 2, [x[:, j].max()]])
        count = np.bincount(at[:, j], minlength=leaves)
        total = np.bincount(at[:, j], x[:, j], minlength=leaves)
        means[j] = np.where(count > 0, total / np.maximum(count, 1), middle)
    trees = Trees(
        feature=np.tile(np.array(columns, np.intp), (splits, 1)),
        threshold=thresholds,
        rules_out=np.tile(np.array([(1 << (s + 1)) - 1 for s in range(splits)], np.uint32)[:, None], (1, x.shape[1])),
        values=np.zeros((x.shape[1], leaves, outputs), np.float32),
        base=np.zeros(outputs, np.float32),
    )
    return trees, means


def leaf_means(x: Matrix, thresholds: F32, means: Matrix) -> Matrix:
    """The mean of each row's leaf, by column [rows, columns]."""
    return np.stack(
        [means[j][np.searchsorted(thresholds[:, j], x[:, j].astype(np.float32))] for j in range(x.shape[1])], axis=1
    )
