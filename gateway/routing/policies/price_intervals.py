"""Which prices lead to a decision: everything that a policy compares is a line in a price, so they are intervals.

Used twice: for the factor by which exploration multiplies the price of a token, which gives exact propensities, and for
the prices themselves, to explain what each would have to be for another decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from gateway.core.efforts import Effort
from gateway.core.forecast import EffortForecast, Intervals
from gateway.core.prices import Prices
from gateway.core.probe import ProbeValue
from gateway.routing.policies.worth import cost, worth
from router_model.offpolicy import propensity
from router_model.offpolicy.propensity import Interval
from router_model.offpolicy.spread import FIXED, Spread

# The probability of a decision made on the very edge of two intervals, where rounding leaves it none.
LEAST_PROPENSITY = 1e-9


class Axis(NamedTuple):
    """One price that varies: what it buys of each effort, and the prices that stay."""

    amount: Callable[[EffortForecast], float]
    others: Prices


def token_factor(prices: Prices) -> Axis:
    """A factor on the price of a token."""
    return Axis(lambda one: prices.token * one.tokens, replace(prices, token=0.0))


def token_price(prices: Prices) -> Axis:
    return Axis(lambda one: one.tokens, replace(prices, token=0.0))


def second_price(prices: Prices) -> Axis:
    return Axis(lambda one: one.seconds, replace(prices, second=0.0))


def reread_price(prices: Prices) -> Axis:
    return Axis(lambda one: one.reread_tokens, replace(prices, reread=0.0))


def choosing(effort: Effort, allowed: Sequence[EffortForecast], axis: Axis) -> Intervals:
    """Where this effort is the best of those allowed."""
    choices = propensity.choice_intervals(*_lines(allowed, axis))
    return tuple((low, high) for index, low, high in choices if allowed[index].effort == effort)


def probing(none: EffortForecast, others: Sequence[EffortForecast], value: ProbeValue, axis: Axis) -> Intervals:
    """Where a probe is worth asking for."""
    values, slopes = _lines(others, axis)
    found = propensity.ask_intervals(values, slopes, value.outcomes, -cost(none, axis.others), axis.amount(none))
    return _plain(found)


def both(first: Intervals, second: Intervals) -> Intervals:
    return _plain(propensity.intersection(_intervals(first), _intervals(second)))


def neither(prices: Intervals) -> Intervals:
    """All others."""
    return _plain(propensity.complement(_intervals(prices)))


def probability(factors: Intervals, spread: Spread) -> float:
    """That exploration multiplies the price of a token by one of these factors; 1 where nothing is random."""
    if spread == FIXED:
        return 1.0
    return max(propensity.probability(_intervals(factors), 1.0, spread), LEAST_PROPENSITY)


def _lines(forecasts: Sequence[EffortForecast], axis: Axis) -> tuple[list[float], list[float]]:
    """The worth of each effort is its value minus the price times its slope."""
    return [worth(one, axis.others) for one in forecasts], [axis.amount(one) for one in forecasts]


def _intervals(prices: Intervals) -> list[Interval]:
    return [Interval(low, high) for low, high in prices]


def _plain(intervals: Iterable[Interval]) -> Intervals:
    return tuple((low, high) for low, high in intervals)
