"""`propensity` for many requests at once: the prices at which each effort is chosen, or a probe is asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
_NARROWEST = 1e-12


class Spreads(NamedTuple):
    """`Spread` of each row: `share` [rows], 0 where nothing is random, and `steps` [rows, steps]."""

    share: F64
    steps: F64

    def below(self, at: F64, row: Ints) -> F64:
        """The probability of a smaller factor, by its logarithm and its row: both [factors]."""
        moved, low = np.zeros(len(at)), self.steps[row, 0]
        for step in range(1, self.steps.shape[1]):
            high = self.steps[row, step]
            # Where two steps are the same all of what lies between them is there.
            moved += np.clip((at - low) / np.maximum(high - low, _NARROWEST), 0.0, 1.0)
            low = high
        share = self.share[row]
        total: F64 = share * moved / (self.steps.shape[1] - 1) + (1 - share) * (at > 0)
        return total


class PriceSets(NamedTuple):
    """Intervals of the token price, any number for each row: flat columns [intervals].

    `row`: whose; `effort`: the best effort that thinks at these prices. Intervals of a row do not overlap.
    """

    row: Ints
    effort: Ints
    low: F64
    high: F64

    def masses(self, base: F64, spreads: Spreads) -> F64:
        """The probability [intervals] of each, at a row's base price [rows] and spread."""
        return mass(self.low, self.high, base, spreads, self.row)

    def row_masses(self, base: F64, spreads: Spreads) -> F64:
        """Their sum over the intervals of each row: [rows]."""
        total: F64 = np.bincount(self.row, self.masses(base, spreads), minlength=len(base)).astype(np.float64)
        return total

    def clipped(self, low: F64, high: F64) -> PriceSets:
        """What lies between two prices [rows]."""
        return self._replace(low=np.maximum(self.low, low[self.row]), high=np.minimum(self.high, high[self.row]))


def mass(low: F64, high: F64, base: F64, spreads: Spreads, row: Ints) -> F64:
    """As `propensity.mass`, of intervals between `low` and `high` [intervals], at the base price and by the spread of
    the `row` of each."""
    found = ((low <= base[row]) & (base[row] < high) & (low < high)).astype(np.float64)
    random = np.flatnonzero((low < high) & ((spreads.share > 0) & (base > 0))[row])
    if len(random):
        of = row[random]
        with np.errstate(divide="ignore"):
            ends = (np.log(np.maximum(at[random], 0.0)) - np.log(base[of]) for at in (low, high))
            below, above = (spreads.below(end, of) for end in ends)
        found[random] = np.maximum(above - below, 0.0)
    return found


def choices(values: F64, slopes: F64) -> tuple[F64, F64]:
    """The lowest and highest price [rows, efforts] at which each effort is chosen; low >= high: at none.

    `values` and `slopes` [rows, efforts]: lines as `propensity.choice_intervals` takes them; NaN: no such effort.
    """
    low, high = np.zeros_like(values), np.full_like(values, np.inf)
    for effort in range(values.shape[1]):
        value, slope = values[:, effort, None], slopes[:, effort, None]
        rise = value - values
        steeper = np.where(np.isnan(rise), np.nan, slope - slopes)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = rise / steeper
        high[:, effort] = np.min(np.where(steeper > 0, at, np.inf), axis=1)
        low[:, effort] = np.max(np.where(steeper < 0, at, 0.0), axis=1)
        earlier = np.arange(values.shape[1]) < effort
        beaten = ((steeper == 0) & ((rise < 0) | ((rise == 0) & earlier))).any(axis=1)
        high[beaten | np.isnan(values[:, effort]), effort] = 0.0
    return low, high


def ask_sets(values: F64, slopes: F64, outcomes: F64, value: F64, slope: F64) -> PriceSets:
    """The prices at which asking for a probe pays: `propensity.ask_intervals` of each row.

    `values` and `slopes` [rows, efforts]: of the efforts that think, NaN where there is none; `outcomes` [rows,
    quantiles]; `value` and `slope` [rows]: of asking. An interval's `effort` is a column of `values`.
    """
    low, high = choices(values, slopes)
    falling = -np.sort(-outcomes, axis=1)
    # Sums of the best outcomes: [rows, 0 to all of them].
    best = np.concatenate([np.zeros((len(falling), 1)), np.cumsum(falling, axis=1)], axis=1)
    found = [
        _asking(
            effort, values[:, effort], slopes[:, effort], low[:, effort], high[:, effort], falling, best, value, slope
        )
        for effort in range(values.shape[1])
    ]
    return PriceSets(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _asking(
    effort: int, direct: F64, tokens: F64, low: F64, high: F64, falling: F64, best: F64, value: F64, slope: F64
) -> PriceSets:
    """The part of `ask_sets` where this effort would be taken without a probe."""
    rows = np.flatnonzero(low < high)
    direct, tokens, falling, best = direct[rows, None], tokens[rows, None], falling[rows], best[rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.where(tokens > 0, (direct - falling) / tokens, np.where(falling > direct, -np.inf, np.inf))
    edges = np.clip(crossings, low[rows, None], high[rows, None])
    edges = np.concatenate([low[rows, None], edges, high[rows, None]], axis=1)
    better = np.arange(best.shape[1])
    # Worth of asking minus that of thinking at once: offset + price * rate, between two edges.
    offset = (best - better * direct) / falling.shape[1] + value[rows, None]
    rate = better / falling.shape[1] * tokens - slope[rows, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = -offset / rate
    start = np.where(rate > 0, np.maximum(edges[:, :-1], zero), edges[:, :-1])
    end = np.where(rate < 0, np.minimum(edges[:, 1:], zero), edges[:, 1:])
    kept = (start < end) & ((rate != 0) | (offset >= 0))
    return PriceSets(
        np.broadcast_to(rows[:, None], kept.shape)[kept], np.full(kept.sum(), effort), start[kept], end[kept]
    )
