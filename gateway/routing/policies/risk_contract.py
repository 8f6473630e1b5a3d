"""A promise: at most so much less accuracy than thinking fully, which the router turns into a price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from gateway.core.call import Call
from gateway.core.contract import Contract
from gateway.core.decision import Decision
from gateway.core.forecast import Forecast
from gateway.core.prices import FREE, Prices
from gateway.core.strict import EffortName
from gateway.routing.policies.priced import PriceBasedPolicy, PricedSettings
from gateway.routing.policies.protocol import NameOf, Policy, PolicyDescription, Resolve


@dataclass(frozen=True, slots=True)
class RiskContract(PriceBasedPolicy):
    """The price at which the contract holds on the router's held-out prompts; if there is none, the ceiling.

    Those prompts say nothing about requests outside the router's training distribution: these get the default effort.
    """

    contract: Contract
    has_dial: ClassVar[bool] = False

    def decide(self, call: Call, forecast: Forecast | None, prices: Prices = FREE) -> Decision:
        bounds = self.priced.bounds
        if call.requested is not None:
            return bounds.clamp_requested(call.requested, call)
        if forecast is None:
            return self.priced.without_forecast(call)
        promised = forecast.promised
        # A request out of distribution is never asked about: what is known of probes is no basis for a promise.
        strange = forecast.is_ood and not forecast.probed
        asks = self.contract.ask != "never" and (forecast.probed or (forecast.probe_value is not None and not strange))
        price = None if promised is None else promised.with_probe if asks else promised.without_probe
        if price is None:
            return self.priced.take(bounds.within(bounds.ceiling, call), "policy", FREE, forecast)
        prices = Prices.of("contract", price) + prices
        if strange:
            return self.priced.take(bounds.within(bounds.default, call), "fallback", prices, forecast)
        return self.priced.buy(call, forecast, prices)

    def describe(self, name: NameOf) -> PolicyDescription:
        contract, bounds = self.contract, self.priced.bounds
        when = "in the long run" if contract.horizon is None else f"on the next {contract.horizon} requests"
        what = "lost, set against what is gained," if contract.net else "harmed"
        others = "thought about fully" if bounds.default == bounds.ceiling else f"given {name(bounds.default)}"
        card = {"max_regret": contract.max_regret, "confidence": contract.confidence, "horizon": contract.horizon}
        return self.priced.describe(
            name,
            f"at most {contract.max_regret:.2%} of requests are {what} {when}, at {contract.confidence:.0%} "
            f"confidence, beside the strongest effort for everybody; {bounds.describe(name)}; a level that a client "
            f"names is honoured; requests outside the router's training distribution are {others}. "
            "Efforts without outcomes in its training data are left out.",
        )._replace(card={"contract": {**card, "counts": "net" if contract.net else "harm"}})


class ContractSettings(PricedSettings):
    """The promise is about traffic like that the router was trained on, and about requests for which neither the client
    nor a key names or bounds the effort. Of the budgets, those count that have outcomes in the router's training data.
    """

    kind: Literal["contract"]
    max_regret: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """The share of requests that may be harmed: wrong, where the strongest effort would have been right."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    horizon: Annotated[int, Field(ge=1)] | None = None
    """How many next requests it is a promise about; if left out, traffic in the long run."""
    counts: Literal["harm", "net"] = "harm"
    """Whether only losses count, or what is gained elsewhere is set against them."""
    default_effort: EffortName | None = None
    """For requests out of distribution, and where there is no forecast. Left out: the ceiling, which loses nothing;
    a weaker one leaves these requests out of the guarantee."""

    if_impossible: Literal["refuse", "full_effort"] = "refuse"
    """What becomes of a promise that no price keeps: it is refused at start-up and by a reload, or every request gets
    the strongest effort, which breaks no promise."""

    @model_validator(mode="after")
    def _one_kind(self) -> ContractSettings:
        if self.counts == "net" and self.horizon is not None:
            raise ValueError("a guarantee on a horizon covers harm alone: leave `counts` or `horizon` out")
        return self

    def policy(self, resolve: Resolve) -> Policy:
        required = self.if_impossible == "refuse"
        contract = Contract(self.max_regret, self.confidence, self.horizon, self.counts == "net", self.probe, required)
        return RiskContract(self.priced(resolve, self.default_effort), contract)
