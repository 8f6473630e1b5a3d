"""Policies: who sets the prices, and the bounds. Pure: the same call, forecast and load give the same decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from gateway.config.policies import ClientSettings, ContractSettings, DialSettings, FixedSettings, PolicySettings
from gateway.core.call import Call
from gateway.core.contract import Contract
from gateway.core.decision import Decision, Prices
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort, clamp, size
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.load import Load
from gateway.core.probe import ProbeOptions, ProbeUse

FREE = Prices()
ASKING = ProbeOptions()
Resolve = Callable[[str | int], Effort]


class Policy(Protocol):
    has_dial: ClassVar[bool]
    """Whether a client may send a dial position."""

    def wants_forecast(self, call: Call) -> bool:
        """Whether a forecast could change the decision; the router is not asked in vain."""
        ...

    def decide(self, call: Call, forecast: Forecast | None, load: Load) -> Decision:
        """One effort and why. `forecast` is None when none was wanted or the router failed. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class EffortBounds:
    """The weakest and the strongest effort that an operator allows, and the one for want of anything better."""

    floor: Effort = NO_THINKING
    ceiling: Effort = UNLIMITED
    default: Effort = NO_THINKING

    def within(self, effort: Effort, call: Call) -> Effort:
        """The nearest effort that operator and client both allow."""
        bounded = clamp(effort, self.floor, self.ceiling)
        return bounded if call.ceiling is None else min(bounded, call.ceiling, key=size)

    def allowed(self, forecasts: Iterable[EffortForecast], call: Call) -> list[EffortForecast]:
        """Those whose effort is the nearest to itself that operator and client both allow."""
        most = size(self.ceiling) if call.ceiling is None else min(size(self.ceiling), size(call.ceiling))
        least = min(size(self.floor), most)
        return [forecast for forecast in forecasts if least <= size(forecast.effort) <= most]

    def clamp_requested(self, requested: Effort, call: Call) -> Decision:
        """What the client named, within the bounds."""
        effort = self.within(requested, call)
        return Decision(effort, "client" if effort == requested else "policy", 1.0, FREE)


@dataclass(frozen=True, slots=True)
class FixedPolicy:
    """One effort for everybody, whatever the client asks."""

    effort: Effort
    has_dial: ClassVar[bool] = False

    def wants_forecast(self, call: Call) -> bool:
        return False

    def decide(self, call: Call, forecast: Forecast | None, load: Load) -> Decision:
        return Decision(self.effort, "policy", 1.0, FREE)


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """The client decides; a client that does not gets the default."""

    bounds: EffortBounds
    has_dial: ClassVar[bool] = False

    def wants_forecast(self, call: Call) -> bool:
        return False

    def decide(self, call: Call, forecast: Forecast | None, load: Load) -> Decision:
        if call.requested is not None:
            return self.bounds.clamp_requested(call.requested, call)
        return Decision(self.bounds.within(self.bounds.default, call), "policy", 1.0, FREE)


@dataclass(frozen=True, slots=True)
class PricedPolicy:
    """What all policies have in common that buy at a price, whoever sets it.

    A probe, where there can be one and it is worth it, is asked for first: it convinces or it does not, so nobody gets
    an answer without thinking unseen. A request of a kind that the router has never met, and that cannot be asked for a
    probe, gets the operator's default.
    """

    bounds: EffortBounds
    ask: ProbeUse = "auto"
    asking: ProbeOptions = ASKING

    def without_forecast(self, call: Call) -> Decision:
        return Decision(self.bounds.within(self.bounds.default, call), "fallback", 1.0, FREE)

    def buy(self, call: Call, forecast: Forecast, prices: Prices) -> Decision:
        allowed = self.bounds.allowed(forecast.efforts, call)
        if not allowed:
            return Decision(self.bounds.within(self.bounds.default, call), "policy", 1.0, prices, forecast)
        if forecast.probed:
            return Decision(_best(allowed, prices).effort, "probe", 1.0, prices, forecast)
        none, *others = allowed
        if others and not none.effort.think and forecast.worth_asking is not None and self.ask != "never":
            direct = _best(others, prices)
            if self.ask == "always" or forecast.worth_asking(worth(direct, prices), cost(none, prices)):
                return Decision(none.effort, "probe", 1.0, prices, forecast, self.asking)
            return Decision(direct.effort, "router", 1.0, prices, forecast)
        if forecast.strange:
            return Decision(self.bounds.within(self.bounds.default, call), "fallback", 1.0, prices, forecast)
        return Decision(_best(allowed, prices).effort, "router", 1.0, prices, forecast)


@dataclass(frozen=True, slots=True)
class DialPolicy:
    """One number from cheapest (0) to best (1) sets the price of a token; the best effort at that price is chosen."""

    buyer: PricedPolicy
    dial: float
    lowest: float = 0.0
    highest: float = 1.0
    price_of_waiting: float = 0.0
    has_dial: ClassVar[bool] = True

    def wants_forecast(self, call: Call) -> bool:
        return call.requested is None

    def decide(self, call: Call, forecast: Forecast | None, load: Load) -> Decision:
        if call.requested is not None:
            return self.buyer.bounds.clamp_requested(call.requested, call)
        if forecast is None:
            return self.buyer.without_forecast(call)
        dial = self.dial if call.dial is None else call.dial
        price = forecast.price_at(min(max(dial, self.lowest), self.highest), self.buyer.ask)
        return self.buyer.buy(call, forecast, Prices(price, self.price_of_waiting))


@dataclass(frozen=True, slots=True)
class RiskContract:
    """The price that keeps a promise on the router's own trial; if there is none, the strongest effort for everybody.

    The trial says nothing of requests that are strange to the router: they get the default.
    """

    buyer: PricedPolicy
    contract: Contract
    has_dial: ClassVar[bool] = False

    def wants_forecast(self, call: Call) -> bool:
        return call.requested is None

    def decide(self, call: Call, forecast: Forecast | None, load: Load) -> Decision:
        bounds = self.buyer.bounds
        if call.requested is not None:
            return bounds.clamp_requested(call.requested, call)
        if forecast is None:
            return self.buyer.without_forecast(call)
        promised = forecast.promised(self.contract)
        asks = self.contract.ask != "never" and (forecast.probed or forecast.worth_asking is not None)
        price = None if promised is None else promised.asking if asks else promised.direct
        if price is None:
            return Decision(bounds.within(bounds.ceiling, call), "policy", 1.0, FREE, forecast)
        prices = Prices(price)
        if forecast.strange and not forecast.probed:
            return Decision(bounds.within(bounds.default, call), "fallback", 1.0, prices, forecast)
        return self.buyer.buy(call, forecast, prices)


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


def _fixed(settings: FixedSettings, resolve: Resolve) -> Policy:
    return FixedPolicy(resolve(settings.effort))


def _bounds(settings: ClientSettings | DialSettings | ContractSettings, resolve: Resolve) -> EffortBounds:
    default = settings.ceiling if settings.default_effort is None else settings.default_effort
    return EffortBounds(resolve(settings.floor), resolve(settings.ceiling), resolve(default))


def contract_of(settings: ContractSettings) -> Contract:
    return Contract(
        settings.max_regret, settings.confidence, settings.horizon, settings.counts == "net", settings.probe
    )


def _buyer(settings: DialSettings | ContractSettings, resolve: Resolve) -> PricedPolicy:
    asking = ProbeOptions(settings.probe_tokens, settings.probe_wait_s)
    return PricedPolicy(_bounds(settings, resolve), settings.probe, asking)


def _client(settings: ClientSettings, resolve: Resolve) -> Policy:
    return ClientPolicy(_bounds(settings, resolve))


def _dial(settings: DialSettings, resolve: Resolve) -> Policy:
    lowest, highest = settings.dial_bounds
    return DialPolicy(_buyer(settings, resolve), settings.dial, lowest, highest, settings.price_of_waiting)


def _contract(settings: ContractSettings, resolve: Resolve) -> Policy:
    return RiskContract(_buyer(settings, resolve), contract_of(settings))


# One row per policy: how it is made of its settings. `resolve` turns an effort's name in the configuration into one.
POLICIES: Mapping[str, Callable[..., Policy]] = {
    "fixed": _fixed,
    "client": _client,
    "dial": _dial,
    "contract": _contract,
}


def make(settings: PolicySettings, resolve: Resolve) -> Policy:
    return POLICIES[settings.kind](settings, resolve)
