"""The one decision rule, and what all policies have in common that buy at a price, whoever sets it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gateway.core.call import Call
from gateway.core.decision import Decision, Prices
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.probe import ProbeOptions, ProbeUse
from gateway.core.strict import EffortName
from gateway.routing.policies.bounds import FREE, BoundedSettings, EffortBounds
from gateway.routing.policies.protocol import NameOf, PolicyDescription, Resolve

PROBE_OPTIONS = ProbeOptions()


@dataclass(frozen=True, slots=True)
class PricedPolicy:
    """A probe, where there can be one and it is worth it, is asked for first: it convinces or it does not, so nobody
    gets an answer without thinking unseen. A request of a kind that the router has never met, and that cannot be asked
    for a probe, gets the operator's default.
    """

    bounds: EffortBounds
    ask: ProbeUse = "auto"
    probe_options: ProbeOptions = PROBE_OPTIONS

    def without_forecast(self, call: Call) -> Decision:
        return Decision(self.bounds.within(self.bounds.default, call), "fallback", 1.0, FREE)

    def buy(self, call: Call, forecast: Forecast, prices: Prices) -> Decision:
        allowed = self.bounds.allowed(forecast.efforts, call)
        if not allowed:
            return Decision(self.bounds.within(self.bounds.default, call), "policy", 1.0, prices, forecast)
        if forecast.probed:
            return Decision(_best(allowed, prices).effort, "probe", 1.0, prices, forecast)
        none, *others = allowed
        if others and not none.effort.think and forecast.probe_pays is not None and self.ask != "never":
            direct = _best(others, prices)
            if self.ask == "always" or forecast.probe_pays(worth(direct, prices), cost(none, prices)):
                return Decision(none.effort, "probe", 1.0, prices, forecast, self.probe_options)
            return Decision(direct.effort, "router", 1.0, prices, forecast)
        if forecast.is_ood:
            return Decision(self.bounds.within(self.bounds.default, call), "fallback", 1.0, prices, forecast)
        return Decision(_best(allowed, prices).effort, "router", 1.0, prices, forecast)

    def describe(self, name: NameOf, summary: str) -> PolicyDescription:
        when = "wherever one can be" if self.ask == "always" else "where it is worth it"
        probes = (
            f"a short answer without thinking is asked for first {when}; a stream is held back for up to "
            f"{self.probe_options.tokens} tokens, and after {self.probe_options.wait_s:g} s it goes on without."
        )
        unprobed = f"a request outside the router's training distribution gets {name(self.bounds.default)}."
        return PolicyDescription(summary, probes=probes, unprobed=unprobed)


def _best(allowed: Iterable[EffortForecast], prices: Prices) -> EffortForecast:
    # max() keeps the first of equals: at equal worth the weaker effort wins.
    return max(allowed, key=lambda one: worth(one, prices))


def worth(forecast: EffortForecast, prices: Prices) -> float:
    """The one decision rule: P(correct) minus what tokens and waiting cost."""
    tokens = forecast.thinking_tokens + forecast.answer_tokens
    return forecast.p_correct - prices.token * tokens - prices.second * forecast.seconds


def cost(forecast: EffortForecast, prices: Prices) -> float:
    """What tokens and waiting cost, in P(correct)."""
    tokens = forecast.thinking_tokens + forecast.answer_tokens
    return prices.token * tokens + prices.second * forecast.seconds


class PricedSettings(BoundedSettings):
    """Whether a short answer without thinking is asked for first, with log-probabilities: for every policy that buys.

    If it convinces it is the answer; if not, it is thrown away and the model thinks. Where there can be none, requests
    of a kind that the router has never met get the default effort.
    """

    needs_router: ClassVar[bool] = True
    probe: Literal["auto", "always", "never"] = "auto"
    """`auto`: where it is worth its price, and of every request that is unlike any that the router has met."""
    probe_tokens: Annotated[int, Field(ge=1, le=4096)] = 64
    """By how many of its tokens it is decided: a stream is held back for so many at most, then the rest comes live."""
    probe_wait_s: Annotated[float, Field(gt=0)] = 10.0
    """How long that may take in seconds, from being sent to the backend; then the request goes on without it."""
    budgets: Annotated[list[EffortName], Field(min_length=1)] = [1024, 4096, 16384]

    def priced(self, resolve: Resolve, default: EffortName | None) -> PricedPolicy:
        options = ProbeOptions(self.probe_tokens, self.probe_wait_s)
        return PricedPolicy(self.bounds(resolve, default), self.probe, options)
