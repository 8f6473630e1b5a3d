"""Boosted trees whose leaves hold one value for every output: one walk scores all efforts of all models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Trees:
    """All trees in flat arrays. A node sends x left if x[feature] <= threshold; a leaf is its own child on both sides.

    `roots` [trees]; `feature`, `threshold`, `left`, `right`, `leaf` [nodes] (`leaf`: row of `values`); `values`
    [leaves, outputs]; `base` [outputs]; `depth` the deepest leaf.
    """

    roots: Index
    feature: Index
    threshold: F32
    left: Index
    right: Index
    leaf: Index
    values: F32
    base: F32
    depth: int

    def score(self, x: F32) -> F32:
        """The outputs [outputs] of one feature row."""
        # All nodes decide at once, then all trees follow: a few long array passes cost less than many short ones.
        child = np.where(x[self.feature] <= self.threshold, self.left, self.right)
        at = self.roots
        for _ in range(self.depth):
            at = child[at]
        total: F32 = self.values[self.leaf[at]].sum(axis=0, dtype=np.float32)
        return self.base + total

    def score_all(self, rows: F32) -> F32:
        """The outputs [rows, outputs] of many feature rows."""
        return np.stack([self.score(row) for row in rows]) if len(rows) else np.zeros((0, len(self.base)), np.float32)
