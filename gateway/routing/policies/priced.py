"""What all policies have in common that buy at a price, whoever sets it."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gateway.core.call import Call
from gateway.core.decision import Alternative, Decision, Reason
from gateway.core.efforts import Effort
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.prices import FREE, Prices
from gateway.core.probe import ProbeOptions, ProbeUse
from gateway.core.strict import EffortName
from gateway.routing.policies import price_intervals
from gateway.routing.policies.bounds import BoundedSettings, EffortBounds
from gateway.routing.policies.choices import Choices
from gateway.routing.policies.exploration import MOST_LOSS, NO_EXPLORATION, Exploration
from gateway.routing.policies.protocol import NameOf, PolicyDescription, Resolve
from router_model.offpolicy.spread import FIXED, Spread

PROBE_OPTIONS = ProbeOptions()
# The factor of exploration, and the three prices.
AXES = (
    price_intervals.token_factor,
    price_intervals.token_price,
    price_intervals.second_price,
    price_intervals.reread_price,
)


@dataclass(frozen=True, slots=True)
class PricedPolicy:
    """Buys the effort of greatest worth.

    Where a probe is possible and worth its price it comes first. Nobody gets an answer without thinking that no probe
    has confirmed, if there could have been one. A request outside the router's training distribution that cannot be
    probed gets the operator's default. `exploration` draws the token price of each request.
    """

    bounds: EffortBounds
    ask: ProbeUse = "auto"
    probe_options: ProbeOptions = PROBE_OPTIONS
    exploration: Exploration = NO_EXPLORATION

    def without_forecast(self, call: Call) -> Decision:
        return Decision(self.bounds.within(self.bounds.default, call), "fallback", 1.0, FREE)

    def take(self, effort: Effort, reason: Reason, prices: Prices, forecast: Forecast) -> Decision:
        """An effort that no price would change, as probable as all that led to its forecast."""
        path = forecast.path
        propensity = price_intervals.probability(path.factors, self._spread(forecast, prices))
        why: Reason = "explore" if path.explored else reason
        return Decision(effort, why, propensity, prices, forecast, factors=path.factors)

    def buy(self, call: Call, forecast: Forecast, prices: Prices) -> Decision:
        """The decision at these prices; where the policy explores, at a token price that is multiplied by chance, and
        among what loses little by the forecast."""
        allowed = self.bounds.allowed(forecast.efforts, call)
        if self._has_default(forecast, allowed):
            reason: Reason = "fallback" if allowed else "policy"
            return self.take(self.bounds.within(self.bounds.default, call), reason, prices, forecast)
        choices = self._choices(forecast, allowed)
        plain = choices.at(prices)
        reason = "probe" if plain[1] or forecast.probed else "router"
        if not self.exploration.strength:
            return Decision(plain[0].effort, reason, 1.0, prices, forecast, self.probe_options if plain[1] else None)
        return self._explored(choices, forecast, prices)

    def _explored(self, choices: Choices, forecast: Forecast, prices: Prices) -> Decision:
        drawn = self._drawn(forecast, prices)
        near = choices.within(drawn.most_loss, prices)
        plain, (chosen, probes) = choices.at(prices), near.at(drawn)
        factors = near.leading_to(chosen.effort, probes, price_intervals.token_factor(prices))
        factors = price_intervals.both(forecast.path.factors, factors)
        reason: Reason = "probe" if probes or forecast.probed else "router"
        if forecast.path.explored or (chosen.effort, probes) != (plain[0].effort, plain[1]):
            reason = "explore"
        propensity = price_intervals.probability(factors, drawn.spread)
        options = self.probe_options if probes else None
        return Decision(chosen.effort, reason, propensity, drawn, forecast, options, factors)

    def alternatives(self, call: Call, forecast: Forecast, prices: Prices) -> list[Alternative]:
        """All that could be decided at other prices; `prices` are those of the decision, without exploration."""
        allowed = self.bounds.allowed(forecast.efforts, call)
        if self._has_default(forecast, allowed):
            return []
        choices = self._choices(forecast, allowed)
        near = choices.within(self.exploration.most_loss, prices)
        spread = self._spread(forecast, prices)
        possible = [(one.effort, False) for one in choices.efforts]
        if choices.none is not None:
            possible.insert(0, (choices.none.effort, True))
        factor, *axes = (make(prices) for make in AXES)
        found = []
        for effort, probes in possible:
            token, second, reread = (choices.leading_to(effort, probes, axis) for axis in axes)
            factors = near.leading_to(effort, probes, factor) if spread != FIXED else ()
            likely = price_intervals.probability(factors, spread) if factors else 0.0
            found.append(Alternative(effort, probes, token, second, reread, likely))
        return found

    def _choices(self, forecast: Forecast, allowed: list[EffortForecast]) -> Choices:
        if not self._may_probe(forecast, allowed):
            return Choices(allowed)
        value = forecast.probe_value
        always = self.ask == "always" or (value is not None and value.always)
        return Choices(allowed[1:], allowed[0], value, True if always else None)

    def _drawn(self, forecast: Forecast, prices: Prices) -> Prices:
        return prices.explored(self._spread(forecast, prices), self.exploration.most_loss)

    def _spread(self, forecast: Forecast, prices: Prices) -> Spread:
        """Of prices before the draw."""
        return self.exploration.spread(prices.token, lambda position: forecast.price_at(position, self.ask))

    def _has_default(self, forecast: Forecast, allowed: list[EffortForecast]) -> bool:
        """Whether the default is applied at any price: there is nothing to choose, or no forecast to trust."""
        return not allowed or (forecast.is_ood and not forecast.probed and not self._may_probe(forecast, allowed))

    def _may_probe(self, forecast: Forecast, allowed: list[EffortForecast]) -> bool:
        """Whether a probe is possible, and there is something to choose by it."""
        can = forecast.probe_value is not None and not forecast.probed and self.ask != "never"
        return can and len(allowed) > 1 and not allowed[0].effort.think

    def describe(self, name: NameOf, summary: str) -> PolicyDescription:
        when = "wherever one can be" if self.ask == "always" else "where it is worth it"
        probes = (
            f"a short answer without thinking comes first {when}; a stream is held back for up to "
            f"{self.probe_options.tokens} tokens, and after {self.probe_options.wait_s:g} s it goes on without."
        )
        unprobed = f"a request outside the router's training distribution gets {name(self.bounds.default)}."
        if self.exploration.strength:
            explores = self.exploration
            summary += (
                f" It explores ({explores.strength:g}): the price of a token is drawn for each request, and nothing is "
                f"chosen that loses more than {explores.most_loss:g} by the forecast."
            )
        return PolicyDescription(summary, probes=probes, unprobed=unprobed)


@dataclass(frozen=True, slots=True)
class PriceBasedPolicy:
    """What policies share whose only choice is the price: all else is up to `priced`."""

    priced: PricedPolicy

    @property
    def probe_use(self) -> ProbeUse:
        return self.priced.ask

    @property
    def explore(self) -> float:
        return self.priced.exploration.strength

    @property
    def offers(self) -> Set[Effort]:
        return self.priced.bounds.offers

    def allows(self, effort: Effort) -> bool:
        return self.priced.bounds.allows(effort)

    def wants_forecast(self, call: Call) -> bool:
        return call.requested is None

    def alternatives(self, call: Call, decision: Decision) -> list[Alternative]:
        if decision.forecast is None or decision.reason not in ("router", "probe"):
            return []
        return self.priced.alternatives(call, decision.forecast, decision.prices)


class PricedSettings(BoundedSettings):
    """For every policy that buys at a price: when it probes, and whether it explores.

    A probe is a short answer without thinking, with log-probabilities. If it convinces it is the answer; if not, it is
    discarded and the model thinks. Where there can be none, requests outside the router's training distribution get
    the default effort.
    """

    needs_router: ClassVar[bool] = True
    probe: Literal["auto", "always", "never"] = "auto"
    """`auto`: where it is worth its price, and for every request outside the router's training distribution."""
    probe_tokens: Annotated[int, Field(ge=1, le=4096)] = 64
    """How many of its tokens decide: a stream is held back for this many at most, then the rest comes live."""
    probe_wait_s: Annotated[float, Field(gt=0)] = 10.0
    """How many seconds that may take, from being sent to the backend; then the request goes on without it."""
    explore: Annotated[float, Field(ge=0, le=3)] = 0.0
    """Exploration: of a part of the requests the price of a token is that of another position of the dial, drawn
    evenly from all within 0.4 times this number. Decisions that are close are then made both ways, with known
    probability: off-policy estimates need that. 0 is off."""
    explore_loss: Annotated[float, Field(gt=0, le=1)] = MOST_LOSS
    """What exploration may lose on a request at most, by the forecast and in P(correct): what is worth less than the
    best choice by more than this is not chosen by chance."""
    budgets: Annotated[list[EffortName], Field(min_length=1)] = [1024, 4096, 16384]

    def priced(self, resolve: Resolve, default: EffortName | None) -> PricedPolicy:
        options = ProbeOptions(self.probe_tokens, self.probe_wait_s)
        exploration = Exploration(self.explore, self.explore_loss)
        return PricedPolicy(self.bounds(resolve, default), self.probe, options, exploration)
