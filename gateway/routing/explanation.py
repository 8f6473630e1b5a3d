"""A decision explained: the forecast of each effort, every price and who set it, and what would have changed it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from gateway.auth.principal import Principal
from gateway.core.call import Call
from gateway.core.decision import Alternative, Decision
from gateway.core.efforts import words
from gateway.core.forecast import EffortForecast, Forecast, Intervals
from gateway.core.plan import Plan
from gateway.core.prices import PRICES, PricePart, Prices
from gateway.routing.catalogue import PublicModel
from gateway.routing.decider import Decider, Routed
from gateway.routing.policies.worth import worth

Json = dict[str, Any]

# Halvings of the dial's range: as exact as anyone sets it.
HALVINGS = 24


class Explanation(NamedTuple):
    """What would be decided for a call, and why. `forecast` is also there where the decision needed none."""

    routed: Routed
    call: Call
    decision: Decision
    plan: Plan
    forecast: Forecast | None
    alternatives: tuple[Alternative, ...]

    def as_json(self) -> Json:
        model, arm, prices = self.routed.model, self.routed.arm, self.decision.prices
        efforts = self.forecast.efforts if self.forecast is not None else ()
        return {
            "model": model.name,
            "arm": arm.name,
            "router": model.router.version,
            "efforts": [self._effort(one) for one in efforts],
            "prices": prices_as_json(prices) | {"explore": model.policy.explore},
            "decision": self._decision(),
            "alternatives": [self._alternative(one) for one in self.alternatives if not self._is_chosen(one)],
        }

    def _effort(self, one: EffortForecast) -> Json:
        deployment = self.routed.arm.deployment_for(one.effort)
        return {
            "effort": words(one.effort),
            "level": self.routed.model.level_of(one.effort),
            "deployment": deployment.name,
            "p_correct": one.p_correct,
            "thinking_tokens": one.thinking_tokens,
            "answer_tokens": one.answer_tokens,
            "seconds": one.seconds,
            "reread_tokens": one.reread_tokens,
            "dollars": deployment.pricing.cost(self.call.prompt_tokens, round(one.tokens)),
            "worth": worth(one, self.decision.prices),
        }

    def _decision(self) -> Json:
        decision, plan = self.decision, self.plan
        return {
            "effort": words(decision.effort),
            "level": self.routed.model.level_of(decision.effort),
            "budget": decision.effort.budget,
            "reason": decision.reason,
            "propensity": decision.propensity,
            "probe": decision.probe_options is not None,
            "deployment": plan.deployment.name,
            "applied": plan.words,
            "notes": list(plan.notes),
        }

    def _is_chosen(self, one: Alternative) -> bool:
        return (one.effort, one.probe) == (self.decision.effort, self.decision.probe_options is not None)

    def _alternative(self, one: Alternative) -> Json:
        """`setters`: what the contribution of each one would have to be, all others being what they are."""
        prices = self.decision.prices
        setters = {part.setter: self._needed(one, prices, part) for part in prices.parts}
        return {
            "effort": words(one.effort),
            "level": self.routed.model.level_of(one.effort),
            "probe": one.probe,
            "propensity": one.probability,
            "prices": {name: _bounds(getattr(one, name)) for name in PRICES},
            "setters": {name: needed for name, needed in setters.items() if needed},
        }

    def _needed(self, one: Alternative, prices: Prices, part: PricePart) -> Json:
        needed: Json = {}
        for name in PRICES:
            own = getattr(part, name)
            if own:
                needed[name] = _bounds(_shifted(getattr(one, name), getattr(prices, name) - own))
        if part.setter == "dial" and self.decision.forecast is not None:
            needed["dial"] = dial_positions(
                _shifted(one.token, prices.token - part.token), _price_at(self.routed.model, self.decision.forecast)
            )
        return needed


async def explain(decider: Decider, principal: Principal, call: Call) -> Explanation:
    """The decision for a call, made without exploration and without effect. GatewayError: it would be refused."""
    routed = decider.route(call, principal, "")
    forecast = await decider.forecast(routed)
    routed = decider.priced(routed)
    routed = routed._replace(prices=replace(routed.prices, z=0.0))
    bounded, decision = decider.decide(principal, routed, forecast)
    planned = decider.plan(routed, bounded, decision, forecast)
    shown = forecast if forecast is not None else await decider.forecast(routed, always=True)
    alternatives = tuple(routed.model.policy.alternatives(bounded, decision))
    return Explanation(routed, bounded, decision, planned.plan, shown, alternatives)


def prices_as_json(prices: Prices) -> Json:
    """The three prices, and the part of each setter."""
    setters = {
        part.setter: {"token": part.token, "second": part.second, "reread": part.reread} for part in prices.parts
    }
    return {"token": prices.token, "second": prices.second, "reread": prices.reread, "setters": setters}


def dial_positions(prices: Intervals, price_at: Callable[[float], float]) -> list[list[float]]:
    """The positions of a dial, as intervals, whose price of a token is in these; `price_at` falls."""
    return sorted([_position(high, price_at), _position(low, price_at)] for low, high in prices)


def _position(price: float, price_at: Callable[[float], float]) -> float:
    """The lowest position at which a token costs no more than this."""
    if price <= 0:
        return 1.0
    low, high = 0.0, 1.0
    if price_at(low) <= price:
        return low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if price_at(middle) <= price else (middle, high)
    return high


def _price_at(model: PublicModel, forecast: Forecast) -> Callable[[float], float]:
    return lambda dial: forecast.price_at(dial, model.policy.probe_use)


def _shifted(prices: Intervals, others: float) -> Intervals:
    """What one setter's part would have to be, the others' being this much together."""
    return tuple((max(low - others, 0.0), high - others) for low, high in prices if high > others)


def _bounds(prices: Intervals) -> list[list[float | None]]:
    """For JSON: an interval without an upper end has null there."""
    return [list(_ends(low, high)) for low, high in prices]


def _ends(low: float, high: float) -> Iterator[float | None]:
    yield low
    yield high if math.isfinite(high) else None
