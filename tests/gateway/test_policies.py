"""Policies are pure: a call, a forecast and a load in, one decision out."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import pytest

from gateway.core.call import Call
from gateway.core.contract import Contract
from gateway.core.efforts import LEVELS, NO_THINKING, UNLIMITED, Effort, clamp, from_budget, level_of, size, words
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.prices import Prices
from gateway.routing.policies.bounds import EffortBounds
from gateway.routing.policies.client import ClientPolicy
from gateway.routing.policies.dial import DialPolicy
from gateway.routing.policies.fixed import FixedPolicy
from gateway.routing.policies.priced import PricedPolicy
from gateway.routing.policies.protocol import Policy
from gateway.routing.policies.registry import POLICIES as SETTINGS
from gateway.routing.policies.risk_contract import RiskContract
from gateway.routing.policies.worth import worth
from tests.gateway.probing import Pays

LOW, HIGH = Effort(True, 32), Effort(True, 256)


def call(requested: Effort | None = None, **fields: object) -> Call:
    return Call("id", "chat", "m", {}, requested=requested, **fields)  # type: ignore[arg-type]


def forecast(price: float = 0.001) -> Forecast:
    """Thinking helps from 0.5 to 0.8 with 30 tokens, and to 0.9 with 200."""
    rows = [(NO_THINKING, 0.5, 0.0), (LOW, 0.8, 30.0), (HIGH, 0.9, 200.0)]
    efforts = tuple(EffortForecast(effort, p, tokens, 10.0, tokens / 100) for effort, p, tokens in rows)
    return Forecast("test", efforts, lambda dial, ask: price * (1 - dial) * 10)


# What a policy's table must say.
REQUIRED = {"fixed": {"effort": "low"}}
POLICIES: list[Policy] = [
    FixedPolicy(LOW),
    ClientPolicy(EffortBounds(NO_THINKING, HIGH, LOW)),
    DialPolicy(PricedPolicy(EffortBounds(NO_THINKING, UNLIMITED, LOW)), 0.5),
    DialPolicy(PricedPolicy(EffortBounds(LOW, HIGH, LOW)), 0.5, 0.2, 0.8, 0.01),
    RiskContract(PricedPolicy(EffortBounds(default=UNLIMITED)), Contract(0.01, 0.95)),
]


def keeps_the_contract(policy: Policy) -> None:
    """Always a decision with a propensity in (0,1] and within the bounds, the same each time, whatever it is given."""
    seen = forecast()
    forecasts = (
        None,
        seen,
        replace(seen, is_ood=True),
        replace(seen, probed=True),
        replace(seen, probe_value=Pays(True)),
        replace(seen, efforts=()),
    )
    for requested, ceiling, given in product((None, NO_THINKING, LOW, UNLIMITED), (None, LOW), forecasts):
        asked = call(requested, ceiling=ceiling)
        first, again = (policy.decide(asked, given) for _ in range(2))
        assert first == again
        assert 0 < first.propensity <= 1
        assert first.prices.token >= 0 and first.prices.second >= 0
        assert policy.allows(first.effort) or size(first.effort) <= size(ceiling or NO_THINKING)
    assert policy.offers and policy.probe_use in ("auto", "always", "never")
    summary, card, probes, unprobed = policy.describe(words)
    assert summary.endswith(".") and (probes is None) == (unprobed is None)
    assert json.loads(json.dumps(card)) == card


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_every_policy_keeps_the_contract(policy: Policy) -> None:
    keeps_the_contract(policy)


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_registered_policy_keeps_the_contract_as_configured(kind: str) -> None:
    """Each kind's table, with what it requires and nothing else."""
    levels = {**LEVELS, "unlimited": UNLIMITED}
    settings = SETTINGS[kind].model_validate({"kind": kind, **REQUIRED.get(kind, {})})
    policy = settings.policy(lambda name: from_budget(name) if isinstance(name, int) else levels[name])
    keeps_the_contract(policy)
    assert settings.kind_name == kind
    assert settings.needs_router or not policy.wants_forecast(call())


@pytest.mark.parametrize(("dial", "expected"), [(0.0, NO_THINKING), (0.4, LOW), (0.9, LOW), (0.99, HIGH), (1.0, HIGH)])
def test_the_dial_goes_from_cheapest_to_best(dial: float, expected: Effort) -> None:
    policy = DialPolicy(PricedPolicy(EffortBounds(default=LOW)), dial)
    decision = policy.decide(call(), forecast(price=0.0015))
    assert (decision.effort, decision.reason) == (expected, "router")


def test_the_choice_is_the_effort_of_greatest_worth() -> None:
    prices = Prices(token=0.002, second=0.01)
    by_hand = {f.effort: f.p_correct - 0.002 * (f.thinking_tokens + 10) - 0.01 * f.seconds for f in forecast().efforts}
    assert {f.effort: worth(f, prices) for f in forecast().efforts} == pytest.approx(by_hand)
    decision = DialPolicy(PricedPolicy(EffortBounds()), 0.8, price_of_waiting=0.01).decide(call(), forecast())
    assert decision.prices == Prices(pytest.approx(0.002), 0.01)
    assert decision.effort == max(by_hand, key=lambda effort: by_hand[effort])


def test_at_equal_worth_the_weaker_effort_wins() -> None:
    same = tuple(EffortForecast(effort, 0.7, 5.0, 5.0, 0.1) for effort in (NO_THINKING, LOW, HIGH))
    assert DialPolicy(PricedPolicy(EffortBounds()), 1.0).decide(call(), Forecast("test", same)).effort == NO_THINKING


def test_waiting_has_a_price_too() -> None:
    assert DialPolicy(PricedPolicy(EffortBounds()), 1.0).decide(call(), forecast()).effort == HIGH
    assert DialPolicy(PricedPolicy(EffortBounds()), 1.0, price_of_waiting=0.2).decide(call(), forecast()).effort == LOW


def test_the_router_chooses_within_the_bounds_of_operator_and_client() -> None:
    greedy = DialPolicy(PricedPolicy(EffortBounds(ceiling=LOW)), 1.0)
    assert greedy.decide(call(), forecast()).effort == LOW
    frugal = DialPolicy(PricedPolicy(EffortBounds(floor=LOW)), 0.0)
    assert frugal.decide(call(), forecast(1.0)).effort == LOW
    assert (
        DialPolicy(PricedPolicy(EffortBounds()), 1.0).decide(call(ceiling=Effort(True, 40)), forecast()).effort == LOW
    )


def test_the_client_moves_the_dial_within_the_operator_s_bounds() -> None:
    policy = DialPolicy(PricedPolicy(EffortBounds()), 0.5, lowest=0.4, highest=0.9)
    assert policy.decide(call(dial=1.0), forecast(0.01)) == policy.decide(call(dial=0.9), forecast(0.01))
    assert policy.decide(call(dial=0.0), forecast(0.01)) == policy.decide(call(dial=0.4), forecast(0.01))


def test_without_a_forecast_the_default() -> None:
    decision = DialPolicy(PricedPolicy(EffortBounds(default=LOW)), 0.5).decide(call(), None)
    assert (decision.effort, decision.reason, decision.prices) == (LOW, "fallback", Prices())


def test_a_router_is_not_asked_in_vain() -> None:
    assert [policy.wants_forecast(call()) for policy in POLICIES] == [False, False, True, True, True]
    assert not any(policy.wants_forecast(call(LOW)) for policy in POLICIES)


def test_efforts_are_one_spectrum() -> None:
    ordered = [from_budget(budget) for budget in (0, 1, 128, 4096, -1)]
    assert sorted(ordered, key=size) == ordered
    assert [words(effort) for effort in ordered] == ["none", "1", "128", "4096", "unlimited"]
    assert [level_of(effort) for effort in ordered] == ["none", "minimal", "minimal", "high", "max"]
    assert all(level_of(effort) == name for name, effort in LEVELS.items())
    assert clamp(LOW, HIGH, UNLIMITED) == HIGH and clamp(UNLIMITED, NO_THINKING, LOW) == LOW
    with pytest.raises(ValueError, match="negative"):
        Effort(True, -3)
