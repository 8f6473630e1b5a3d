"""From a dial position to the price of a token, read off cross-validated forecasts of training traffic. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

# So dear that no gain in P(correct) pays for a hundredth of a token.
PROHIBITIVE = 1e3
_PRICES = np.geomspace(1.0, 1e-7, 141)


@dataclass(frozen=True, slots=True)
class DialTable:
    """What a token costs at each share of the tokens between never and always thinking.

    `shares` rise, `prices` fall.
    """

    shares: F64
    prices: F64

    def price(self, x: float) -> float:
        """The price of a token at dial position `x` in [0,1]: 0 at 1, and wherever even free tokens buy no more."""
        if x <= 0:
            return PROHIBITIVE
        if x >= 1 or x > self.shares[-1]:
            return 0.0
        if x < self.shares[0]:
            return float(self.prices[0] * self.shares[0] / x)
        return float(np.exp(np.interp(x, self.shares, np.log(self.prices))))


def table(p_correct: NDArray[np.floating], forecast: NDArray[np.floating], tokens: NDArray[np.floating]) -> DialTable:
    """The dial of a set of efforts; all [prompts, efforts], cheapest and dearest found by mean real tokens.

    Where nothing can be told apart, any position but the top buys only the cheapest.
    """
    if not len(tokens):
        return DialTable(np.array([1.0]), np.array([PROHIBITIVE]))
    means = tokens.mean(axis=0, dtype=np.float64)
    span = means.max() - means.min()
    rows = np.arange(len(tokens))
    spent = [tokens[rows, np.argmax(p_correct - price * forecast, axis=1)].mean(dtype=np.float64) for price in _PRICES]
    if span <= 0:
        return DialTable(np.array([1.0]), np.array([PROHIBITIVE]))
    shares = np.maximum.accumulate((np.array(spent) - means.min()) / span)
    # Where the share stands still the highest price holds; strictly rising shares make the inverse well defined.
    rising = np.append(True, np.diff(shares) > 1e-9) & (shares > 1e-6)
    if not rising.any():
        return DialTable(np.array([1.0]), np.array([PROHIBITIVE]))
    return DialTable(shares[rising], _PRICES[rising])
