"""Grows `Trees` on incomplete outcome matrices: gradient boosting with one tree per round for all outputs.

Each round projects the gradients of all outputs on a few random directions, grows a small tree on those, and then gives
each leaf its own Newton step for every output, as in "SketchBoost: Fast Gradient Boosted Decision Tree for Multioutput
Problems" (Iosipoi, Vakhrushev, NeurIPS 2022, arXiv:2211.12858). The cost of a round hardly depends on the number of
efforts, and efforts with few rows share the splits of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.tree import DecisionTreeRegressor

from router_model.model.trees import F32, MOST_LEAVES, NEVER, Trees

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Boosting:
    """How the trees are grown. `token_weight`: the weight of token outputs in the choice of splits."""

    rounds: int = 150
    rate: float = 0.13
    leaves: int = 16
    least_rows: int = 8
    features_share: float = 0.15
    rows_share: float = 0.7
    directions: int = 4
    shrink: float = 3.0
    token_weight: float = 0.3
    seed: int = 7


def sigmoid(x: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -30, 30))))


def grow(x: F32, correct: Matrix, tokens: Matrix, how: Boosting, start: Matrix | None = None) -> Trees:
    """Trees with outputs [logits of `correct` | `tokens`]. ValueError: more leaves than `Trees` supports.

    `x` [rows, features]; NaN in a target: unknown, ignored. `start` [rows, outputs]: scores of other trees, to which
    the outputs of these are added.
    """
    if not 2 <= how.leaves <= MOST_LEAVES:
        raise ValueError(f"trees have 2 to {MOST_LEAVES} leaves, not {how.leaves}")
    rng = np.random.default_rng(how.seed)
    targets = _Targets(correct, tokens, how)
    base = targets.base if start is None else np.zeros_like(targets.base)
    scores = np.tile(base, (len(x), 1)) if start is None else start.copy()
    grown: list[tuple[DecisionTreeRegressor, Matrix]] = []
    for _ in range(how.rounds):
        slope, curve = targets.gradients(scores)
        sketch = (slope * targets.weight) @ rng.normal(size=(slope.shape[1], how.directions))
        rows = np.flatnonzero(rng.random(len(x)) < how.rows_share)
        tree = DecisionTreeRegressor(
            max_leaf_nodes=how.leaves,
            min_samples_leaf=how.least_rows,
            max_features=how.features_share,
            random_state=int(rng.integers(1 << 31)),
        )
        # The parameters are valid, and checking them in every round would take half of the time.
        with config_context(skip_parameter_validation=True):
            tree.fit(x[rows], sketch[rows], check_input=False)
        at = tree.tree_.apply(x)
        values = _leaf_values(at[rows], slope[rows], curve[rows], tree.tree_.node_count, targets.ridge, how)
        scores += values[at]
        grown.append((tree, values))
    return _to_arrays(grown, base, how.leaves)


class _Targets:
    """Targets of both kinds in one matrix, with masks, scales and starting values."""

    def __init__(self, correct: Matrix, tokens: Matrix, how: Boosting) -> None:
        self.n_correct = correct.shape[1]
        self.known = ~np.isnan(np.hstack([correct, tokens]))
        self.values = np.nan_to_num(np.hstack([correct, tokens]))
        count = np.maximum(self.known.sum(0), 1)
        mean = self.values.sum(0) / count
        spread = np.sqrt((np.square(self.values - mean) * self.known).sum(0) / count) + 0.1
        rate = np.clip(mean[: self.n_correct], 0.01, 0.99)
        self.base = np.concatenate([np.log(rate / (1 - rate)), mean[self.n_correct :]])
        self.weight = np.concatenate([np.ones(self.n_correct), how.token_weight / spread[self.n_correct :]])
        # Added to the curvature of each leaf, which shrinks its step.
        self.ridge = how.shrink * np.concatenate([np.full(self.n_correct, 0.25), np.ones(tokens.shape[1])])

    def gradients(self, scores: Matrix) -> tuple[Matrix, Matrix]:
        p = sigmoid(scores[:, : self.n_correct])
        slope = np.hstack(
            [self.values[:, : self.n_correct] - p, self.values[:, self.n_correct :] - scores[:, self.n_correct :]]
        )
        curve = np.hstack([p * (1 - p), np.ones((len(scores), scores.shape[1] - self.n_correct))])
        return slope * self.known, curve * self.known


def _leaf_values(
    at: NDArray[np.int64], slope: Matrix, curve: Matrix, nodes: int, ridge: Matrix, how: Boosting
) -> Matrix:
    order = np.argsort(at, kind="stable")
    leaves, first = np.unique(at[order], return_index=True)
    values = np.zeros((nodes, slope.shape[1]))
    steps = np.add.reduceat(slope[order], first) / (np.add.reduceat(curve[order], first) + ridge)
    values[leaves] = how.rate * np.clip(steps, -4, 4)
    return values


def _to_arrays(grown: list[tuple[DecisionTreeRegressor, Matrix]], base: Matrix, leaves: int) -> Trees:
    """Convert the grown trees to the arrays of `Trees`."""
    shape = max(leaves - 1, 1), len(grown)
    feature, threshold = np.zeros(shape, np.intp), np.full(shape, NEVER, np.float32)
    rules_out = np.zeros(shape, np.uint32)
    values = np.zeros((len(grown), leaves, len(base)), np.float32)
    for t, (fitted, of_nodes) in enumerate(grown):
        tree = fitted.tree_
        order, reached = _leaf_order(tree.children_left, tree.children_right)
        values[t, : len(order)] = of_nodes[order].astype(np.float16)
        splits = np.flatnonzero(tree.children_left >= 0)
        for s, node in enumerate(splits):
            feature[s, t], threshold[s, t] = tree.feature[node], tree.threshold[node]
            first, last = reached[tree.children_left[node]]
            rules_out[s, t] = (1 << last) - (1 << first)
    return Trees(feature, threshold, rules_out, values, base.astype(np.float32))


def _leaf_order(left: NDArray[np.int64], right: NDArray[np.int64]) -> tuple[list[int], dict[int, tuple[int, int]]]:
    """The leaves of a tree from left to right, and the range of leaves below each node."""
    order: list[int] = []
    reached: dict[int, tuple[int, int]] = {}

    def visit(node: int) -> None:
        first = len(order)
        if left[node] < 0:
            order.append(node)
        else:
            visit(left[node])
            visit(right[node])
        reached[node] = first, len(order)

    visit(0)
    return order, reached
