"""How far exploration moves the price of a token, and what it may lose by that."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log
from typing import NamedTuple

from router_model.offpolicy.spread import FIXED, SIDE, Spread

# How many of the requests get another price, how far on the dial it may lie at a strength of 1, and what may be lost on
# a request where an operator says nothing else: chosen by what they cost and show, see the log of the router.
SHARE, POSITIONS, MOST_LOSS = 0.6, 0.4, 0.13
# The most that a price is multiplied or divided by.
MOST = 1e4
_HALVINGS = 16


class Exploration(NamedTuple):
    """`strength` 0: none. `most_loss`: what a choice may be worth less than the best one at the price that would be
    asked without exploration, by the forecast and in P(correct)."""

    strength: float = 0.0
    most_loss: float = inf

    def spread(self, price: float, price_at: Callable[[float], float]) -> Spread:
        """Around a price of a token: over the prices of the positions of the dial near by, given the price of each.

        Between two positions the price may fall by a tenth or by a factor of a hundred, so multiplying it by one number
        would show one neighbour too much and another not at all. Where the dial has but one price the steps are even.
        """
        if not self.strength or price <= 0:
            return FIXED
        at, far = _position(price, price_at), POSITIONS * self.strength
        positions = [at - far * step / SIDE for step in range(-SIDE, SIDE + 1)]
        steps = [_step(price_at(min(max(position, 0.0), 1.0)) / price) for position in positions]
        steps[SIDE] = 0.0
        if steps[0] >= 0 or steps[-1] <= 0:
            return Spread.even(SHARE, self.strength)
        rising = [min(step, 0.0) for step in steps[:SIDE]] + [max(step, 0.0) for step in steps[SIDE:]]
        return Spread.of(SHARE, rising)


def _step(factor: float) -> float:
    """Rounded, as it stands in every record."""
    return round(log(min(max(factor, 1 / MOST), MOST)), 4)


NO_EXPLORATION = Exploration()


def _position(price: float, price_at: Callable[[float], float]) -> float:
    """Where the dial has this price, which falls from 0 to 1."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if price_at(middle) > price else (low, middle)
    return high
