"""Exploration in the price: which factors on the price of a token lead to a decision, and how probable they are.

The token price of a request is multiplied by exp(s * z), with z standard normal. Everything that a policy compares is a
line in that factor, so the factors that lead to each decision are intervals, and their probability is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.core.efforts import Effort
from gateway.core.forecast import ANY_FACTOR, EffortForecast, Intervals
from gateway.core.prices import Prices
from gateway.core.probe import ProbeValue
from gateway.routing.policies.worth import fixed_cost, token_cost
from router_model.offpolicy import propensity
from router_model.offpolicy.propensity import Interval

# What a decision is called that was made on the very edge of two intervals, where rounding leaves it none.
LEAST_PROPENSITY = 1e-9


def choosing(effort: Effort, allowed: Sequence[EffortForecast], prices: Prices) -> Intervals:
    """The factors at which this effort is the best of those allowed."""
    choices = propensity.choice_intervals(*_lines(allowed, prices))
    return tuple((low, high) for index, low, high in choices if allowed[index].effort == effort)


def probing(none: EffortForecast, others: Sequence[EffortForecast], value: ProbeValue, prices: Prices) -> Intervals:
    """The factors at which a probe is worth asking for."""
    if value.always:
        return ANY_FACTOR
    values, slopes = _lines(others, prices)
    cost, slope = fixed_cost(none, prices), token_cost(none, prices)
    return _plain(propensity.ask_intervals(values, slopes, value.outcomes, -cost, slope))


def both(first: Intervals, second: Intervals) -> Intervals:
    return _plain(propensity.intersection(_intervals(first), _intervals(second)))


def neither(factors: Intervals) -> Intervals:
    """All other factors."""
    return _plain(propensity.complement(_intervals(factors)))


def probability(factors: Intervals, spread: float) -> float:
    """That exp(spread * z) is one of these factors; 1 without a spread."""
    if not spread:
        return 1.0
    return max(propensity.probability(_intervals(factors), 1.0, spread), LEAST_PROPENSITY)


def _lines(forecasts: Sequence[EffortForecast], prices: Prices) -> tuple[list[float], list[float]]:
    """The worth of each effort is its value minus the factor times its slope."""
    values = [one.p_correct - fixed_cost(one, prices) for one in forecasts]
    return values, [token_cost(one, prices) for one in forecasts]


def _intervals(factors: Intervals) -> list[Interval]:
    return [Interval(low, high) for low, high in factors]


def _plain(intervals: Iterable[Interval]) -> Intervals:
    return tuple((low, high) for low, high in intervals)
