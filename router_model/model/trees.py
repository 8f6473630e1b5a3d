"""Boosted trees whose leaves have a value for every output: one pass scores all efforts of all models.

No tree is traversed. Each split that sends a row to the right rules out the leaves on its left, for all splits of all
trees at once, and a row's leaf in each tree is the first one that is not ruled out: the bit vectors of "QuickScorer: A
Fast Algorithm to Rank Documents with Additive Ensembles of Regression Trees" (Lucchese, Nardini, Orlando, Perego,
Tonellotto, Venturini, SIGIR 2015, doi:10.1145/2766462.2767733). It takes a few long array operations at any depth.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
MOST_LEAVES = 32
# The threshold of padding splits.
NEVER = np.finfo(np.float32).max


@dataclass(frozen=True, slots=True)
class Trees:
    """The arrays of all trees.

    `feature`, `threshold`, `rules_out` [splits, trees]: x[feature] > threshold rules out the leaves whose bits are set;
    leaves are numbered from the left, and trees with fewer splits are padded with splits that rule out nothing.
    `values` [trees, leaves, outputs]; `base` [outputs].
    """

    feature: NDArray[np.intp]
    threshold: F32
    rules_out: NDArray[np.uint32]
    values: F32
    base: F32
    _rows: F32 = field(init=False, repr=False)
    _first: NDArray[np.intp] = field(init=False, repr=False)
    _ones: F32 = field(init=False, repr=False)

    def __post_init__(self) -> None:
        trees, leaves, outputs = self.values.shape
        object.__setattr__(self, "_rows", np.ascontiguousarray(self.values).reshape(-1, outputs))
        object.__setattr__(self, "_first", np.arange(0, trees * leaves, leaves))
        object.__setattr__(self, "_ones", np.ones(trees, np.float32))

    def score(self, x: F32) -> F32:
        """The outputs [outputs] of one feature row."""
        ruled_out = np.bitwise_or.reduce((x.take(self.feature) > self.threshold) * self.rules_out, axis=0)
        # The number of ones below the lowest zero bit.
        leaf = np.bitwise_count(ruled_out & ~(ruled_out + np.uint32(1)))
        # A product with ones is a faster sum.
        total: F32 = self._ones @ self._rows.take(leaf + self._first, axis=0)
        return self.base + total

    def restricted(self, outputs: NDArray[np.intp]) -> Trees:
        """Only these outputs."""
        return replace(self, values=self.values[:, :, outputs], base=self.base[outputs])

    def mixed(self, weights: NDArray[np.floating], offset: NDArray[np.floating]) -> Trees:
        """Trees whose outputs are `offset` + these outputs @ `weights` [outputs, new outputs]."""
        values = (self.values @ weights).astype(np.float16).astype(np.float32)
        return replace(self, values=values, base=(self.base @ weights + offset).astype(np.float32))

    def beside(self, other: Trees) -> Trees:
        """Trees whose outputs are the sums of both. `other` may use more features."""
        leaves = max(self.values.shape[1], other.values.shape[1])
        one, two = self._padded(leaves), other._padded(leaves)
        names = (("feature", 1), ("threshold", 1), ("rules_out", 1), ("values", 0))
        parts = {name: np.concatenate([getattr(one, name), getattr(two, name)], axis=axis) for name, axis in names}
        return Trees(**parts, base=self.base + other.base)

    def _padded(self, leaves: int) -> Trees:
        """The same trees, padded to `leaves` leaves by splits that rule out nothing and unreachable leaves."""
        more = leaves - self.values.shape[1]
        if not more:
            return self
        rows = ((0, leaves - 1 - len(self.feature)), (0, 0))
        return replace(
            self,
            feature=np.pad(self.feature, rows),
            threshold=np.pad(self.threshold, rows, constant_values=NEVER),
            rules_out=np.pad(self.rules_out, rows),
            values=np.pad(self.values, ((0, 0), (0, more), (0, 0))),
        )

    def score_all(self, rows: F32) -> F32:
        """The outputs [rows, outputs] of many feature rows."""
        return np.stack([self.score(row) for row in rows]) if len(rows) else np.zeros((0, len(self.base)), np.float32)
