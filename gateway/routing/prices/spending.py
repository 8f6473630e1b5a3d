"""The spending of one scope, such as a model or a key, and the price that keeps it within a budget for each window.

The price is the dual variable of the budget, learned online: after each decision it rises if that was expected to spend
more than its share of what is left, and falls if less (Balseiro and Gur, "Learning in Repeated Auctions with Budgets:
Regret Minimization and Equilibrium", Management Science 65(9), 2019, doi:10.1287/mnsc.2018.3174). It moves in its
logarithm, as multiplicative updates need no scale (Balseiro, Lu and Mirrokni, "The Best of Many Worlds: Dual Mirror
Descent for Online Allocation Problems", Operations Research 71(1), 2023, doi:10.1287/opre.2021.2242). A cap is above
all: what is left is never given out twice.
"""

from __future__ import annotations

from math import exp, log, sqrt
from typing import NamedTuple

# How far a decision moves the logarithm of the price: for each share of its allowance that it spends too much.
STEP = 0.05
LARGEST_STEP = 0.5
# The price of the first request of all, and the range, in P(correct) per token.
FIRST, LOWEST, HIGHEST = 1e-4, 1e-8, 1.0
# Nothing is worth a token at this price: only the cheapest effort is left.
PROHIBITIVE = 1e3
# The weight of the newest request in running means, and how slowly the largest expectation is forgotten.
NEWEST, FORGET = 0.02, 0.998
# The least share of a window that what is left is spread over.
LAST_SHARE = 0.01
# What a request may spend at most that has no limit, in any unit.
UNBOUNDED = 1e12
# How many standard deviations are set aside for requests that run.
DEVIATIONS = 3.0


class Expected(NamedTuple):
    """What a request will probably spend, and at most."""

    mean: float
    most: float


class Spending:
    """`target` is what may be spent in a window of `window_s` seconds: windows begin at multiples of that."""

    def __init__(self, target: float, window_s: float, now: float) -> None:
        self.target, self.window_s = target, window_s
        self.spent = 0.0
        self._window = now // window_s
        self._log_price: float | None = None
        self._last = now
        self._gap_s: float | None = None
        self._largest = self._square = 0.0
        # The mean ratio of real to expected spending, and the mean of its square about that.
        self._spread = (1.0, 0.25)
        self._running: dict[str, Expected] = {}
        # Of those that run: the sums of the means, of their squares, and of the most.
        self._sums = (0.0, 0.0, 0.0)

    def price(self, now: float) -> float:
        """Of a token, in P(correct)."""
        self._roll(now)
        if self._capped:
            return PROHIBITIVE
        if self._log_price is None:
            return FIRST
        return exp(self._log_price) if self._log_price > log(LOWEST) else 0.0

    @property
    def _capped(self) -> bool:
        return self.spent + self.reserved() + self._largest > self.target

    def reserved(self) -> float:
        """What is set aside for requests that run: what they will spend together, but for rare cases."""
        ratio, variance = self._spread
        mean, square, most = self._sums
        return max(min(mean * ratio + DEVIATIONS * sqrt(variance * max(square, 0.0)), most), 0.0)

    def decided(self, id: str, expected: Expected, now: float, usual: float = FIRST) -> None:
        """A request begins that will spend so much; `expected` may be nothing. The price begins at the `usual` one."""
        self._roll(now)
        if self._log_price is None:
            self._log_price = log(min(max(usual, LOWEST), HIGHEST))
        ratio, variance = self._spread
        mean, capped = expected.mean * ratio, self._capped
        self._drop(id)
        self._running[id] = expected
        self._add(expected, 1)
        if mean > 0:
            self._largest = max(self._largest * FORGET, min(mean * (1 + DEVIATIONS * sqrt(variance)), expected.most))
        gap_s, self._last = max(now - self._last, 0.0), now
        self._gap_s = gap_s if self._gap_s is None else self._gap_s + 4 * NEWEST * (gap_s - self._gap_s)
        left_s = max((self._window + 1) * self.window_s - now, LAST_SHARE * self.window_s)
        allowance = max(self.target - self.spent - self.reserved(), 0.0) / left_s * self._gap_s
        self._square += NEWEST * (mean**2 - self._square)
        scale = max(allowance, sqrt(self._square), 1e-300)
        if capped:
            return  # what is chosen under the cap says nothing about the price
        step = min(STEP * (mean - allowance) / scale, LARGEST_STEP)
        self._log_price = min(max(self._log_price + step, log(LOWEST)), log(HIGHEST))

    def settled(self, id: str, spent: float, now: float) -> None:
        """A request has ended, and has spent so much."""
        self._roll(now)
        self.spent += spent
        expected = self._drop(id)
        if expected is not None and expected.mean > 0:
            self._learn(spent / expected.mean)

    def _drop(self, id: str) -> Expected | None:
        expected = self._running.pop(id, None)
        if expected is not None:
            self._add(expected, -1)
        if not self._running:
            self._sums = (0.0, 0.0, 0.0)  # what rounding has left
        return expected

    def _add(self, one: Expected, sign: int) -> None:
        mean, square, most = self._sums
        self._sums = (mean + sign * one.mean, square + sign * one.mean**2, most + sign * min(one.most, UNBOUNDED))

    def _learn(self, ratio: float) -> None:
        mean, variance = self._spread
        new = mean + NEWEST * (ratio - mean)
        self._spread = (new, (1 - NEWEST) * (variance + NEWEST * (ratio - mean) ** 2))

    def _roll(self, now: float) -> None:
        """Begin a new window when it is time: what runs will count in it."""
        window = now // self.window_s
        if window > self._window:
            self._window, self.spent = window, 0.0
