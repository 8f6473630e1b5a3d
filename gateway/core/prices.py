"""The prices at which one request buys thinking, each with who set it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import NamedTuple

from router_model.offpolicy.spread import FIXED, Spread

PRICES = ("token", "second", "reread")
# The setter that multiplies the price of a token by chance.
EXPLORE = "explore"


class PricePart(NamedTuple):
    """What one setter adds to the three prices, in the units of `Prices`."""

    setter: str
    token: float = 0.0
    second: float = 0.0
    reread: float = 0.0


@dataclass(frozen=True, slots=True)
class Prices:
    """What one token, one second of waiting and one prompt token read again cost, in units of P(correct).

    Prices of several setters add up: `parts` has each setter's own, in the order in which they were added. `z` is this
    request's draw from the standard normal distribution, for policies that explore; `spread` is what that did to the
    price of a token, and `most_loss` what a choice of it may lose by the forecast, in P(correct).
    """

    token: float = 0.0
    second: float = 0.0
    reread: float = 0.0
    parts: tuple[PricePart, ...] = field(default=(), compare=False)
    z: float = 0.0
    spread: Spread = field(default=FIXED, compare=False)
    most_loss: float = field(default=inf, compare=False)

    @classmethod
    def of(cls, setter: str, token: float = 0.0, second: float = 0.0, reread: float = 0.0) -> Prices:
        """The prices of one setter."""
        return cls(token, second, reread, (PricePart(setter, token, second, reread),))

    def __add__(self, other: Prices) -> Prices:
        return Prices(
            self.token + other.token,
            self.second + other.second,
            self.reread + other.reread,
            self.parts + other.parts,
            self.z + other.z,
        )

    def explored(self, spread: Spread, most_loss: float) -> Prices:
        """The same with the price of a token multiplied by chance; what that adds is a part of its own."""
        token = self.token * spread.factor(self.z)
        parts = (*self.parts, PricePart(EXPLORE, token - self.token)) if self.z else self.parts
        return replace(self, token=token, parts=parts, spread=spread, most_loss=most_loss)


FREE = Prices()
