"""The client decides; one that does not say gets the default."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import ClassVar, Literal

from gateway.core.call import Call
from gateway.core.decision import Alternative, Decision
from gateway.core.efforts import Effort
from gateway.core.forecast import Forecast
from gateway.core.prices import FREE, Prices
from gateway.core.probe import ProbeUse
from gateway.core.strict import EffortName
from gateway.routing.policies.bounds import BoundedSettings, EffortBounds
from gateway.routing.policies.protocol import NameOf, Policy, PolicyDescription, Resolve


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    bounds: EffortBounds
    has_dial: ClassVar[bool] = False
    probe_use: ClassVar[ProbeUse] = "never"
    contract: ClassVar[None] = None
    explore: ClassVar[float] = 0.0

    @property
    def offers(self) -> Set[Effort]:
        return self.bounds.offers

    def allows(self, effort: Effort) -> bool:
        return self.bounds.allows(effort)

    def wants_forecast(self, call: Call) -> bool:
        return False

    def decide(self, call: Call, forecast: Forecast | None, prices: Prices = FREE) -> Decision:
        if call.requested is not None:
            return self.bounds.clamp_requested(call.requested, call)
        return Decision(self.bounds.within(self.bounds.default, call), "policy", 1.0, FREE)

    def alternatives(self, call: Call, decision: Decision) -> list[Alternative]:
        return []

    def describe(self, name: NameOf) -> PolicyDescription:
        bounds = self.bounds
        return PolicyDescription(
            f"the client decides, {bounds.describe(name)}; {name(bounds.default)} if it does not say."
        )


class ClientSettings(BoundedSettings):
    kind: Literal["client"] = "client"
    default_effort: EffortName = "none"

    def policy(self, resolve: Resolve) -> Policy:
        return ClientPolicy(self.bounds(resolve, self.default_effort))
