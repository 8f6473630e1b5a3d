"""The exact probability of a decision whose token price is random. Plain Python, because the gateway computes it.

A policy explores in the price: a token costs base * factor, and the factor is drawn once for a request (`Spread`). The
worth of an effort, its value minus price * tokens, is a line in the price, so the chosen effort is constant on
intervals of the price, and its probability is the mass that the price has there. A path of two decisions (ask for a
probe or not, then commit or keep) is taken at the prices at which both are made: an intersection of intervals. At a
base price of 0 nothing is random, and whatever the policy chooses has a propensity of 1.

That the assignment's probability is known exactly is what off-policy estimates rest on: "Counterfactual Reasoning and
Learning Systems: The Example of Computational Advertising" (Bottou et al., 2013, JMLR 14:3207-3260).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import inf, isfinite
from typing import NamedTuple

from router_model.offpolicy.spread import FIXED, Spread


class Interval(NamedTuple):
    """Prices per token, in P(correct), from `low` to below `high`; `high` may be infinite."""

    low: float
    high: float


class Choice(NamedTuple):
    """The effort (its place among those compared) that is best at prices from `low` to below `high`."""

    effort: int
    low: float
    high: float


def choice_intervals(values: Sequence[float], slopes: Sequence[float]) -> list[Choice]:
    """Which effort is worth most at each price, by rising price; together the intervals cover 0 to infinity.

    `values` [efforts]: P(correct) minus every cost that the token price does not change; `slopes` [efforts]: tokens
    bought. The worth is value - price * slope. Of efforts that are always equal the first is chosen, as the policies
    do. ValueError: none, lengths that differ, a value that is not finite, or a negative or infinite slope.
    """
    _check(values, slopes)
    found = []
    for effort, (value, slope) in enumerate(zip(values, slopes, strict=True)):
        low, high = 0.0, inf
        for other, (their_value, their_slope) in enumerate(zip(values, slopes, strict=True)):
            if slope > their_slope:
                high = min(high, (value - their_value) / (slope - their_slope))
            elif slope < their_slope:
                low = max(low, (value - their_value) / (slope - their_slope))
            elif (their_value, -other) > (value, -effort):
                high = low
        if low < high:
            found.append(Choice(effort, low, high))
    return sorted(found, key=lambda one: one.low)


def ask_intervals(
    values: Sequence[float], slopes: Sequence[float], outcomes: Sequence[float], value: float, slope: float
) -> list[Interval]:
    """The prices at which a probe is worth asking for, rather than the best of the efforts that think.

    `values` and `slopes` [efforts that think]: as `choice_intervals` takes them; `outcomes` [quantiles]: equally
    likely values of P(correct) after the probe; `value` and `slope` are those of asking itself: minus what its waiting
    costs, and its tokens. Asking pays where the mean of max(outcome, best) + value - price * slope is at least the best
    thinking effort's worth (`Predictor.wants_probe`), which is piecewise linear in the price. ValueError: as
    `choice_intervals`, or no outcomes.
    """
    if not len(outcomes):
        raise ValueError("a probe has at least one outcome")
    found: list[Interval] = []
    for effort, low, high in choice_intervals(values, slopes):
        best, tokens = values[effort], slopes[effort]
        crossings = ((best - outcome) / tokens for outcome in outcomes) if tokens > 0 else ()
        edges = [low, *sorted({at for at in crossings if low < at < high}), high]
        for start, end in pairwise(edges):
            middle = (start + end) / 2 if isfinite(end) else 2 * start + 1
            better = [outcome for outcome in outcomes if outcome > best - middle * tokens]
            offset = sum(outcome - best for outcome in better) / len(outcomes) + value
            found += _not_negative(offset, len(better) / len(outcomes) * tokens - slope, start, end)
    return merged(found)


def complement(intervals: Iterable[Interval]) -> list[Interval]:
    """The prices of 0 to infinity that are in none of these."""
    edge, found = 0.0, []
    for low, high in merged(intervals):
        if edge < low:
            found.append(Interval(edge, low))
        edge = high
    return [*found, Interval(edge, inf)] if edge < inf else found


def intersection(first: Iterable[Interval], second: Iterable[Interval]) -> list[Interval]:
    """The prices that are in both."""
    others = list(second)
    both = (Interval(max(a.low, b.low), min(a.high, b.high)) for a in first for b in others)
    return merged(one for one in both if one.low < one.high)


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """The same prices in intervals that neither touch nor overlap, by rising price."""
    found: list[Interval] = []
    for low, high in sorted(intervals):
        if found and low <= found[-1].high:
            found[-1] = Interval(found[-1].low, max(found[-1].high, high))
        elif low < high:
            found.append(Interval(low, high))
    return found


def mass(low: float, high: float, base: float, spread: Spread) -> float:
    """P(low <= price < high) where the price is `base` times a factor of this spread.

    Where nothing is random (no spread, or `base` is 0) it is 1 or 0. ValueError: `base` is negative or not finite.
    """
    if not 0 <= base < inf:
        raise ValueError("a base price is finite and not negative")
    if base == 0 or spread == FIXED:
        return float(low <= base < high)
    return max(spread.below(high / base) - spread.below(low / base), 0.0)


def probability(intervals: Iterable[Interval], base: float, spread: Spread) -> float:
    """The mass of intervals that do not overlap (`mass`): the propensity of a path that is taken just there."""
    return min(1.0, sum(mass(low, high, base, spread) for low, high in intervals))


def effort_probabilities(values: Sequence[float], slopes: Sequence[float], base: float, spread: Spread) -> list[float]:
    """The probability [efforts] of each effort where one decision is made at a random price."""
    found = [0.0] * len(values)
    for effort, low, high in choice_intervals(values, slopes):
        found[effort] = mass(low, high, base, spread)
    return found


def _not_negative(offset: float, slope: float, low: float, high: float) -> list[Interval]:
    """Where offset + price * slope >= 0 between two prices."""
    if slope > 0:
        low = max(low, -offset / slope)
    elif slope < 0:
        high = min(high, -offset / slope)
    elif offset < 0:
        return []
    return [Interval(low, high)] if low < high else []


def _check(values: Sequence[float], slopes: Sequence[float]) -> None:
    if not len(values) or len(values) != len(slopes):
        raise ValueError("each effort has one value and one slope, and there is at least one")
    if not all(isfinite(value) for value in values):
        raise ValueError("values are finite numbers")
    if not all(0 <= slope < inf for slope in slopes):
        raise ValueError("slopes are token counts: finite and not negative")
