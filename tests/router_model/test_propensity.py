"""Propensities of decisions whose token price is random: exact, against draws through the served policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp, inf
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pytest

from gateway.core.call import Call
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.prices import Prices
from gateway.routing.policies.bounds import EffortBounds
from gateway.routing.policies.priced import PricedPolicy
from router_model.model.probe import ProbeValueModel
from router_model.offpolicy import propensity
from router_model.offpolicy.propensity import Interval, ask_intervals, choice_intervals, intersection, mass, probability
from router_model.offpolicy.spread import FIXED, Spread

EFFORTS = (NO_THINKING, Effort(True, 1024), Effort(True, 8192), UNLIMITED)
CALL = Call("id", "chat", "m", {})
SECOND = 0.002
SPREAD = Spread.even(0.6, 1.0)


class Request(NamedTuple):
    """Forecasts of one request before and after a probe [efforts], and what the probe may reveal [quantiles]."""

    before: tuple[EffortForecast, ...]
    after: tuple[EffortForecast, ...]
    outcomes: Sequence[float]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Request:
        p, tokens = rng.uniform(0.2, 0.95, 4), np.sort(rng.uniform(10, 4000, 4))
        before = tuple(
            EffortForecast(e, float(a), float(t) * 0.9, float(t) * 0.1, float(t) / 80)
            for e, a, t in zip(EFFORTS, p, tokens, strict=True)
        )
        after = (EffortForecast(NO_THINKING, float(rng.random()), 0.0, 0.0, 0.0), *before[1:])
        return cls(before, after, np.sort(rng.uniform(0, 1, 9)).tolist())

    @property
    def always(self) -> bool:
        return False

    def pays(self, best_direct: float, cost: float) -> bool:
        return ProbeValueModel(np.array([0.5]), np.array([self.outcomes])).worth(0.5, best_direct) - cost >= best_direct

    def forecasts(self) -> tuple[Forecast, Forecast]:
        return Forecast("r", self.before, probe_value=self), Forecast("r", self.after, probed=True)


def lines(forecasts: tuple[EffortForecast, ...]) -> tuple[list[float], list[float]]:
    values = [one.p_correct - SECOND * one.seconds for one in forecasts]
    return values, [one.thinking_tokens + one.answer_tokens for one in forecasts]


def paths(request: Request) -> dict[tuple[bool, Effort], list[Interval]]:
    """The prices of every path: asked or not, and the effort at its end."""
    values, slopes = lines(request.before)
    cost = -SECOND * request.before[0].seconds
    asked = ask_intervals(values[1:], slopes[1:], request.outcomes, cost, slopes[0])
    found = {}
    for effort, low, high in choice_intervals(values[1:], slopes[1:]):
        found[False, EFFORTS[1 + effort]] = intersection([Interval(low, high)], propensity.complement(asked))
    for effort, low, high in choice_intervals(*lines(request.after)):
        found[True, EFFORTS[effort]] = intersection([Interval(low, high)], asked)
    return found


def taken(request: Request, price: float) -> tuple[bool, Effort]:
    """The path that the served policy takes at a price."""
    policy, (before, after) = PricedPolicy(EffortBounds(default=UNLIMITED)), request.forecasts()
    first = policy.buy(CALL, before, Prices(price, SECOND))
    if first.probe_options is None:
        return False, first.effort
    return True, policy.buy(CALL, after, Prices(price, SECOND)).effort


def test_intervals_are_what_the_policy_chooses_at_every_price() -> None:
    rng = np.random.default_rng(1)
    kinds: Counter[bool] = Counter()
    for _ in range(60):
        request = Request.drawn(rng)
        found = paths(request)
        for price in np.geomspace(1e-6, 1e-1, 60).tolist():
            inside = [path for path, parts in found.items() if any(low <= price < high for low, high in parts)]
            assert inside == [taken(request, price)]
            kinds[inside[0][0]] += 1
        assert sum(probability(parts, 1e-4, SPREAD) for parts in found.values()) == pytest.approx(1)
    assert min(kinds.values()) > 300, "both paths are tried"


def propensities_of_paths_are_exact(requests: int, draws: int) -> float:
    """The largest distance of an exact propensity from its frequency in draws through the policy."""
    rng = np.random.default_rng(2)
    worst = 0.0
    for _ in range(requests):
        request, base = Request.drawn(rng), float(10 ** rng.uniform(-4.5, -3))
        spread = Spread.even(float(rng.uniform(0.3, 1)), float(rng.uniform(0.5, 2)))
        drawn = Counter(taken(request, base * spread.factor(z)) for z in rng.standard_normal(draws).tolist())
        exact = {path: probability(parts, base, spread) for path, parts in paths(request).items()}
        assert {*drawn} <= {path for path, p in exact.items() if p > 0}
        worst = max(worst, *(abs(p - drawn[path] / draws) for path, p in exact.items()))
    return worst


def test_propensities_are_the_frequencies_of_the_real_decision() -> None:
    assert propensities_of_paths_are_exact(12, 4000) < 0.03


@pytest.mark.long
def test_propensities_are_within_a_hundredth_of_the_frequencies() -> None:
    assert propensities_of_paths_are_exact(12, 60_000) <= 0.01


def test_intervals_cover_every_price_once_and_hold_the_best() -> None:
    rng = np.random.default_rng(3)
    for n in (1, 2, 5, 9):
        for _ in range(50):
            values, slopes = rng.random(n).round(1).tolist(), rng.integers(0, 4, n).astype(float).tolist()
            found = choice_intervals(values, slopes)
            assert [one.low for one in found] == [0.0, *(one.high for one in found[:-1])] and found[-1].high == inf
            for effort, low, high in found:
                price = (low + min(high, low + 1)) / 2
                worths = [value - price * slope for value, slope in zip(values, slopes, strict=True)]
                assert worths[effort] == pytest.approx(max(worths))
            of_each = propensity.effort_probabilities(values, slopes, 0.2, SPREAD)
            assert sum(of_each) == pytest.approx(1) and len(of_each) == n
    assert [one.effort for one in choice_intervals([0.5, 0.5, 0.5], [1, 1, 2])] == [0], "the first of equals"


def test_mass_is_exact_at_the_edges_and_where_steps_are_the_same() -> None:
    uneven = Spread.of(0.5, (-3.0, -1.0, -1.0, -0.5, 0.0, 0.1, 0.2, 0.3, 0.3))
    for spread in (SPREAD, uneven):
        assert mass(0, inf, 1e-4, spread) == 1 and mass(1e-4, inf, 1e-4, spread) == pytest.approx(1 - spread.share / 2)
        draws = [spread.factor(NormalDist().inv_cdf((n + 0.5) / 8000)) for n in range(8000)]
        assert draws == sorted(draws) and draws.count(1.0) == pytest.approx(8000 * (1 - spread.share), abs=2)
        for low, high in ((0.0, 0.2), (0.5, 0.9), (0.99, 1.01), (exp(-1.01), 1.0), (exp(0.299), 9.0), (9.0, inf)):
            share = sum(low <= factor < high for factor in draws) / 8000
            assert mass(low, high, 1.0, spread) == pytest.approx(share, abs=1e-3)
    assert (mass(0, 1, 0.5, FIXED), mass(0.6, 1, 0.5, FIXED), mass(0, 1, 0, SPREAD)) == (1, 0, 1)
    for share, steps in ((0.0, SPREAD.steps), (0.5, SPREAD.steps[:-1]), (0.5, SPREAD.steps[::-1]), (2, SPREAD.steps)):
        with pytest.raises(ValueError, match="spread"):
            Spread.of(share, steps)


def test_sets_of_prices() -> None:
    some = [Interval(3, 4), Interval(0, 1), Interval(1, 2), Interval(5, 5)]
    assert propensity.merged(some) == [(0, 2), (3, 4)]
    assert propensity.complement(some) == [(2, 3), (4, inf)]
    assert propensity.complement([]) == [(0, inf)] and propensity.complement([Interval(0, inf)]) == []
    assert intersection(some, [Interval(1.5, 3.5)]) == [(1.5, 2), (3, 3.5)]


def test_what_is_no_line_is_refused() -> None:
    for values, slopes in (([], []), ([1], [1, 2]), ([float("nan")], [1]), ([1], [-1]), ([1], [inf])):
        with pytest.raises(ValueError, match=r"effort|finite|token"):
            choice_intervals(values, slopes)
    for base in (-1, inf, float("nan")):
        with pytest.raises(ValueError, match="base price"):
            mass(0, 1, base, SPREAD)
    with pytest.raises(ValueError, match="outcome"):
        ask_intervals([1], [1], [], 0, 1)
