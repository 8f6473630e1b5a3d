"""Counts of tokens in fixed bins, evenly spaced in their logarithm: quantiles within a fifth, in constant memory."""

from __future__ import annotations

from math import log2

# Two for each doubling, up to a million tokens.
PER_DOUBLING, BINS = 2, 40


class TokenHistogram:
    """Tokens range over six decades at most, so that forty counters do what a sketch that grows would."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts = [0] * BINS
        self.total = 0

    def add(self, tokens: int) -> None:
        self._counts[min(int(PER_DOUBLING * log2(1 + tokens)), BINS - 1)] += 1
        self.total += 1

    def quantile(self, share: float) -> int | None:
        """Below which this share of the counts lies, at the middle of its bin; None: nothing was counted."""
        if not self.total:
            return None
        left = share * self.total
        for bin, count in enumerate(self._counts):
            left -= count
            if left <= 0:
                return round(2 ** ((bin + 0.5) / PER_DOUBLING)) - 1 if bin else 0
        return round(2 ** (BINS / PER_DOUBLING)) - 1
