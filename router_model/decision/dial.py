"""Maps a dial position to a token price, by the tokens spent at each price on held-out prompts. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.decision.holdout import HoldoutTrial

F64 = NDArray[np.float64]

# At this price no gain in P(correct) is worth even a hundredth of a token.
PROHIBITIVE = 1e3
_PRICES = np.geomspace(1.0, 1e-7, 141)


@dataclass(frozen=True, slots=True)
class DialTable:
    """The token price (P(correct) per token) at each share of the tokens between the cheapest and the dearest effort.

    `shares` ascend, `prices` descend.
    """

    shares: F64
    prices: F64

    def price(self, x: float) -> float:
        """The price of a token at dial position `x` in [0,1]; 0 at 1, and above the share that is spent at price 0."""
        if x <= 0:
            return PROHIBITIVE
        if x >= 1 or x > self.shares[-1]:
            return 0.0
        if x < self.shares[0]:
            return float(self.prices[0] * self.shares[0] / x)
        return float(np.exp(np.interp(x, self.shares, np.log(self.prices))))


def table(trial: HoldoutTrial) -> DialTable:
    """The dial for the efforts of a trial. The cheapest and the dearest are determined by mean measured tokens.

    If efforts do not differ in tokens, every position below 1 selects the cheapest.
    """
    nothing = DialTable(np.array([1.0]), np.array([PROHIBITIVE]))
    if not len(trial):
        return nothing
    means = trial.tokens.mean(axis=0)
    span = means.max() - means.min()
    if span <= 0:
        return nothing
    spent = np.array([trial.bought(price)[1].mean() for price in _PRICES])
    shares = np.maximum.accumulate((spent - means.min()) / span)
    # Of equal shares the highest price is kept; strictly increasing shares make the inverse well defined.
    rising = np.append(True, np.diff(shares) > 1e-9) & (shares > 1e-6)
    return DialTable(shares[rising], _PRICES[rising]) if rising.any() else nothing
