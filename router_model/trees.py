"""Boosted trees whose leaves hold one value for every output: one walk scores all efforts of all models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Trees:
    """All trees in flat arrays. A node sends x left if x[feature] <= threshold; a leaf is its own child on both sides.

    `roots` [trees]; `feature`, `threshold`, `left`, `right`, `leaf` [nodes] (`leaf`: row of `values`); `values`
    [leaves, outputs]; `base` [outputs]; `depth` the deepest leaf.
    """

    roots: I32
    feature: I32
    threshold: F32
    left: I32
    right: I32
    leaf: I32
    values: F32
    base: F32
    depth: int

    def score(self, x: F32) -> F32:
        """The outputs [outputs] of one feature row."""
        at = self.roots
        for _ in range(self.depth):
            at = np.where(x[self.feature[at]] <= self.threshold[at], self.left[at], self.right[at])
        total: F32 = self.values[self.leaf[at]].sum(axis=0, dtype=np.float32)
        return self.base + total

    def score_all(self, rows: F32) -> F32:
        """The outputs [rows, outputs] of many feature rows."""
        return np.stack([self.score(row) for row in rows]) if len(rows) else np.zeros((0, len(self.base)), np.float32)
