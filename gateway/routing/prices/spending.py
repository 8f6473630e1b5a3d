"""The spending of one scope, such as a model or a key, and the price that keeps it within a budget for each window.

The price is the dual variable of the budget, learned online: after each decision it rises if that was expected to spend
more than its share of what is left, and falls if less (Balseiro and Gur, "Learning in Repeated Auctions with Budgets:
Regret Minimization and Equilibrium", Management Science 65(9), 2019, doi:10.1287/mnsc.2018.3174). It moves in its
logarithm, as multiplicative updates need no scale (Balseiro, Lu and Mirrokni, "The Best of Many Worlds: Dual Mirror
Descent for Online Allocation Problems", Operations Research 71(1), 2023, doi:10.1287/opre.2021.2242). A cap is above
all: what is left is never given out twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

from gateway.routing.prices.spending_book import Entry, Expected, SpendingBook, SpendingState

# How far a decision moves the logarithm of the price: for each share of its allowance that it spends too much.
STEP = 0.05
LARGEST_STEP = 0.5
# The price of the first request of all, and the range, in P(correct) per token.
FIRST, LOWEST, HIGHEST = 1e-4, 1e-8, 1.0
# Nothing is worth a token at this price: only the cheapest effort is left.
PROHIBITIVE = 1e3
# The weight of the newest request in running means, and how slowly the largest expectation is forgotten.
NEWEST, FORGET = 0.02, 0.998
# The same for the time between requests, of late and in the long run; and by how much less the latter is taken to be
# than its mean, two of its standard deviations: what an estimate that is too high lets pass is spent.
NEWEST_GAP, NEWEST_LONG_GAP, SURELY = 0.08, 0.005, 0.9
# The least share of a window that what is left is spread over.
LAST_SHARE = 0.01
# How many standard deviations are set aside, for requests that run and in the number of those to come.
DEVIATIONS = 3.0


@dataclass(frozen=True, slots=True)
class Spending:
    """`target` is what may be spent in a window of `window_s` seconds: windows begin at multiples of that.

    What was spent and learned is in the `book`, under `scope`. `unit` is what a token spends: where dollars are counted
    and tokens have a new price, what was learned before holds at once.
    """

    target: float
    window_s: float
    book: SpendingBook
    scope: str
    unit: float = 1.0

    def price(self, now: float) -> float:
        """Of a token, in P(correct)."""
        entry = self.book.read(self.scope)
        self._roll(entry.state, now)
        if self._capped(entry, now):
            return PROHIBITIVE
        log_price = entry.state.log_price
        if log_price is None:
            return FIRST
        price = exp(log_price) * self.unit
        return price if price > LOWEST else 0.0

    def spent(self, now: float) -> float:
        """In the window so far."""
        state = self.book.read(self.scope).state
        self._roll(state, now)
        return state.spent

    def reserved(self) -> float:
        """What is set aside for requests that run."""
        return _reserved(self.book.read(self.scope))

    def hold(self, id: str, expected: Expected, now: float) -> None:
        """A request may come to spend so much: its effort is decided later."""
        with self.book.change(self.scope) as entry:
            self._roll(entry.state, now)
            entry.running.add(id, expected._replace(is_decided=False))

    def decided(self, id: str, expected: Expected, now: float, usual: float = FIRST) -> None:
        """A request begins that will spend so much; `expected` may be nothing. The price begins at the `usual` one."""
        with self.book.change(self.scope) as entry:
            state = entry.state
            self._roll(state, now)
            if state.log_price is None:
                state.log_price = log(min(max(usual, LOWEST), HIGHEST) / self.unit)
            mean, capped = expected.mean * state.ratio, self._capped(entry, now)
            entry.running.add(id, expected)
            if mean > 0:
                largest = min(mean * (1 + DEVIATIONS * sqrt(state.variance)), expected.most)
                state.largest = max(state.largest * FORGET, largest / self.unit)
            self._notice(state, expected, now)
            if not capped:  # what is chosen under the cap says nothing about the price
                self._move(entry, mean, now)

    def settled(self, id: str, spent: float, now: float, whole: bool = True) -> None:
        """A request has ended, and has spent so much; `whole`: that is what such a request takes."""
        with self.book.change(self.scope) as entry:
            state = entry.state
            self._roll(state, now)
            state.spent += spent
            expected = entry.running.drop(id)
            if whole and expected is not None and expected.is_decided and expected.mean > 0:
                surprise = spent / expected.mean - state.ratio
                state.ratio += NEWEST * surprise
                state.variance = (1 - NEWEST) * (state.variance + NEWEST * surprise**2)

    def _capped(self, entry: Entry, now: float) -> bool:
        """Whether nothing is left but what requests to come spend at their weakest effort."""
        state = entry.state
        left_s = (state.window + 1) * self.window_s - now
        # Answers without thinking are forecast better than thoughts: where those take less, these need not.
        gap_s = min(state.gap_s or 0.0, SURELY * (state.long_gap_s or 0.0))
        requests = left_s / gap_s if gap_s else 0.0
        to_come = state.least * max(state.ratio, 1.0) * (requests + DEVIATIONS * sqrt(requests))
        return state.spent + _reserved(entry) + (state.largest + to_come) * self.unit > self.target

    def _notice(self, state: SpendingState, expected: Expected, now: float) -> None:
        """How often requests come, and how much they spend."""
        last, state.last = state.last, now
        if last is not None:
            gap_s, state.gaps = max(now - last, 0.0), state.gaps + 1
            before, long_before = state.gap_s or 0.0, state.long_gap_s or 0.0
            state.gap_s = before + max(NEWEST_GAP, 1 / state.gaps) * (gap_s - before)
            state.long_gap_s = long_before + max(NEWEST_LONG_GAP, 1 / state.gaps) * (gap_s - long_before)
        state.square += NEWEST * ((expected.mean * state.ratio / self.unit) ** 2 - state.square)
        state.least += NEWEST * (expected.least / self.unit - state.least)

    def _move(self, entry: Entry, mean: float, now: float) -> None:
        state = entry.state
        left_s = max((state.window + 1) * self.window_s - now, LAST_SHARE * self.window_s)
        left = max(self.target - state.spent - _reserved(entry), 0.0)
        allowance = left / left_s * (state.gap_s or 0.0)
        scale = max(allowance, sqrt(state.square) * self.unit, 1e-300)
        step = min(STEP * (mean - allowance) / scale, LARGEST_STEP)
        least, most = log(LOWEST / self.unit), log(HIGHEST / self.unit)
        state.log_price = min(max((state.log_price or 0.0) + step, least), most)

    def _roll(self, state: SpendingState, now: float) -> None:
        """Begin a new window when it is time: what runs will count in it."""
        window = now // self.window_s
        if window > state.window:
            state.window, state.spent = window, 0.0


def _reserved(entry: Entry) -> float:
    """What those that run will spend together, but for rare cases."""
    state = entry.state
    own, others = entry.running.total, entry.others
    mean, square, most = own.mean + others.mean, own.square + others.square, own.most + others.most
    return max(min(mean * state.ratio + DEVIATIONS * sqrt(state.variance * max(square, 0.0)), most), 0.0)
