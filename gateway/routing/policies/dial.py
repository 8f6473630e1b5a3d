"""The dial, one number from cheapest (0) to best (1), sets the price of a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.errors import ConfigError
from gateway.core.forecast import Forecast
from gateway.core.prices import FREE, Prices
from gateway.core.strict import EffortName, Price, Unit
from gateway.routing.policies.priced import PriceBasedPolicy, PricedSettings
from gateway.routing.policies.protocol import NameOf, Policy, PolicyDescription, Resolve


@dataclass(frozen=True, slots=True)
class DialPolicy(PriceBasedPolicy):
    dial: float
    lowest: float = 0.0
    highest: float = 1.0
    price_of_waiting: float = 0.0
    has_dial: ClassVar[bool] = True
    contract: ClassVar[None] = None

    def decide(self, call: Call, forecast: Forecast | None, prices: Prices = FREE) -> Decision:
        if call.requested is not None:
            return self.priced.bounds.clamp_requested(call.requested, call)
        if forecast is None:
            return self.priced.without_forecast(call)
        dial = self.dial if call.dial is None else call.dial
        price = forecast.price_at(min(max(dial, self.lowest), self.highest), self.priced.ask)
        own = Prices.of("dial", price, self.price_of_waiting)
        return self.priced.buy(call, forecast, own + prices)

    def describe(self, name: NameOf) -> PolicyDescription:
        bounds = self.priced.bounds
        return self.priced.describe(
            name,
            f"the router decides at dial {self.dial:g} (0 cheapest, 1 best; clients may move it within {self.lowest:g} "
            f"and {self.highest:g}), {bounds.describe(name)}; a level that a client names is honoured; "
            f"{name(bounds.default)} if the router fails.",
        )


class DialSettings(PricedSettings):
    kind: Literal["dial"]
    dial: Unit = 0.5
    dial_bounds: Annotated[tuple[Unit, Unit], Field(strict=False)] = (0.0, 1.0)
    """How far a client may move the dial."""
    price_of_waiting: Price = 0.0
    """What a second is worth, in units of P(correct)."""
    default_effort: EffortName | None = None
    """Applied when there is no forecast, and to requests out of distribution that cannot be probed. Left out: the
    middle one of `budgets` within the bounds, the lower of two."""

    @model_validator(mode="after")
    def _ordered(self) -> DialSettings:
        if self.dial_bounds[0] > self.dial_bounds[1]:
            raise ValueError("dial_bounds: the lower bound comes first")
        return self

    def policy(self, resolve: Resolve) -> Policy:
        default = self.middle_budget(resolve) if self.default_effort is None else self.default_effort
        priced = self.priced(resolve, default)
        lowest, highest = self.dial_bounds
        if not lowest <= self.dial <= highest:
            raise ConfigError([f"policy: dial {self.dial:g} is outside of dial_bounds, {lowest:g} to {highest:g}"])
        return DialPolicy(priced, self.dial, *self.dial_bounds, self.price_of_waiting)
