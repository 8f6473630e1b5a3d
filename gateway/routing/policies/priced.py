"""What all policies have in common that buy at a price, whoever sets it."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gateway.core.call import Call
from gateway.core.decision import Alternative, Decision, Reason
from gateway.core.efforts import Effort
from gateway.core.forecast import ANY_FACTOR, EffortForecast, Forecast, Intervals
from gateway.core.prices import FREE, Prices
from gateway.core.probe import ProbeOptions, ProbeUse
from gateway.core.strict import EffortName
from gateway.routing.policies import price_intervals
from gateway.routing.policies.bounds import BoundedSettings, EffortBounds
from gateway.routing.policies.price_intervals import Axis
from gateway.routing.policies.protocol import NameOf, PolicyDescription, Resolve
from gateway.routing.policies.worth import best, cost, worth

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
    probed gets the operator's default. `explore` is the standard deviation of the logarithm of the token price.
    """

    bounds: EffortBounds
    ask: ProbeUse = "auto"
    probe_options: ProbeOptions = PROBE_OPTIONS
    explore: float = 0.0

    def without_forecast(self, call: Call) -> Decision:
        return Decision(self.bounds.within(self.bounds.default, call), "fallback", 1.0, FREE)

    def take(self, effort: Effort, reason: Reason, prices: Prices, forecast: Forecast) -> Decision:
        """An effort that no price would change, as probable as all that led to its forecast."""
        path = forecast.path
        propensity = price_intervals.probability(path.factors, self.explore)
        why: Reason = "explore" if path.explored else reason
        return Decision(effort, why, propensity, prices, forecast, factors=path.factors)

    def buy(self, call: Call, forecast: Forecast, prices: Prices) -> Decision:
        """The decision at these prices; where the policy explores, at a token price that is multiplied by chance."""
        allowed = self.bounds.allowed(forecast.efforts, call)
        plain = self._at(call, forecast, allowed, prices)
        if not self.explore:
            return plain
        chosen = self._at(call, forecast, allowed, prices.explored(self.explore))
        if self._has_default(forecast, allowed):
            return self.take(chosen.effort, chosen.reason, chosen.prices, forecast)
        probes = chosen.probe_options is not None
        factors = self._leading_to(chosen.effort, probes, forecast, allowed, price_intervals.token_factor(prices))
        factors = price_intervals.both(forecast.path.factors, factors)
        changed = (chosen.effort, chosen.probe_options) != (plain.effort, plain.probe_options)
        reason: Reason = "explore" if changed or forecast.path.explored else chosen.reason
        propensity = price_intervals.probability(factors, self.explore)
        return replace(chosen, reason=reason, propensity=propensity, factors=factors)

    def alternatives(self, call: Call, forecast: Forecast, prices: Prices) -> list[Alternative]:
        """All that could be decided at other prices; `prices` are those of the decision, without exploration."""
        allowed = self.bounds.allowed(forecast.efforts, call)
        if self._has_default(forecast, allowed):
            return []
        may_probe = self._may_probe(forecast, allowed)
        choices = [(one.effort, False) for one in (allowed[1:] if may_probe else allowed)]
        factor, *axes = (make(prices) for make in AXES)
        found = []
        for effort, probes in [(allowed[0].effort, True), *choices] if may_probe else choices:
            token, second, reread = (self._leading_to(effort, probes, forecast, allowed, axis) for axis in axes)
            factors = self._leading_to(effort, probes, forecast, allowed, factor)
            likely = price_intervals.probability(factors, self.explore) if self.explore and factors else 0.0
            found.append(Alternative(effort, probes, token, second, reread, likely))
        return found

    def _at(self, call: Call, forecast: Forecast, allowed: list[EffortForecast], prices: Prices) -> Decision:
        """The decision at exactly these prices."""
        if self._has_default(forecast, allowed):
            reason: Reason = "fallback" if allowed else "policy"
            return Decision(self.bounds.within(self.bounds.default, call), reason, 1.0, prices, forecast)
        if self._may_probe(forecast, allowed):
            none, *others = allowed
            direct = best(others, prices)
            if self._probes(forecast, worth(direct, prices), cost(none, prices)):
                return Decision(none.effort, "probe", 1.0, prices, forecast, self.probe_options)
            return Decision(direct.effort, "router", 1.0, prices, forecast)
        return Decision(best(allowed, prices).effort, "probe" if forecast.probed else "router", 1.0, prices, forecast)

    def _has_default(self, forecast: Forecast, allowed: list[EffortForecast]) -> bool:
        """Whether the default is applied at any price: there is nothing to choose, or no forecast to trust."""
        return not allowed or (forecast.is_ood and not forecast.probed and not self._may_probe(forecast, allowed))

    def _may_probe(self, forecast: Forecast, allowed: list[EffortForecast]) -> bool:
        """Whether a probe is possible, and there is something to choose by it."""
        can = forecast.probe_value is not None and not forecast.probed and self.ask != "never"
        return can and len(allowed) > 1 and not allowed[0].effort.think

    def _probes(self, forecast: Forecast, best_direct: float, cost: float) -> bool:
        value = forecast.probe_value
        return self.ask == "always" or (value is not None and value.pays(best_direct, cost))

    def _leading_to(
        self, effort: Effort, probes: bool, forecast: Forecast, allowed: list[EffortForecast], axis: Axis
    ) -> Intervals:
        """The prices at which `_at` decides so, where it does not apply the default."""
        if not self._may_probe(forecast, allowed):
            return price_intervals.choosing(effort, allowed, axis)
        none, *others = allowed
        probed = ANY_FACTOR
        if self.ask != "always" and forecast.probe_value is not None:
            probed = price_intervals.probing(none, others, forecast.probe_value, axis)
        if probes:
            return probed
        return price_intervals.both(price_intervals.neither(probed), price_intervals.choosing(effort, others, axis))

    def describe(self, name: NameOf, summary: str) -> PolicyDescription:
        when = "wherever one can be" if self.ask == "always" else "where it is worth it"
        probes = (
            f"a short answer without thinking comes first {when}; a stream is held back for up to "
            f"{self.probe_options.tokens} tokens, and after {self.probe_options.wait_s:g} s it goes on without."
        )
        unprobed = f"a request outside the router's training distribution gets {name(self.bounds.default)}."
        if self.explore:
            summary += f" It explores: each request's price of a token is multiplied by exp({self.explore:g} z)."
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
        return self.priced.explore

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
    """Exploration: the price of a token is multiplied by exp(explore * z), with z standard normal, drawn for each
    request. Decisions that are close are then made both ways, with known probability: off-policy estimates need that.
    0.5 changes about one decision in twenty; 0 is off."""
    budgets: Annotated[list[EffortName], Field(min_length=1)] = [1024, 4096, 16384]

    def priced(self, resolve: Resolve, default: EffortName | None) -> PricedPolicy:
        options = ProbeOptions(self.probe_tokens, self.probe_wait_s)
        return PricedPolicy(self.bounds(resolve, default), self.probe, options, self.explore)
