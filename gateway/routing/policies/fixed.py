"""One effort for everybody, whatever the client asks."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import ClassVar, Literal

from gateway.core.call import Call
from gateway.core.decision import Alternative, Decision, Reason
from gateway.core.efforts import Effort
from gateway.core.forecast import Forecast
from gateway.core.prices import FREE, Prices
from gateway.core.probe import ProbeUse
from gateway.core.strict import EffortName
from gateway.routing.policies.protocol import NameOf, Policy, PolicyDescription, PolicySettings, Resolve


@dataclass(frozen=True, slots=True)
class FixedPolicy:
    effort: Effort
    reason: Reason = "policy"
    has_dial: ClassVar[bool] = False
    probe_use: ClassVar[ProbeUse] = "never"
    contract: ClassVar[None] = None
    explore: ClassVar[float] = 0.0

    @property
    def offers(self) -> Set[Effort]:
        return {self.effort}

    def allows(self, effort: Effort) -> bool:
        return effort == self.effort

    def wants_forecast(self, call: Call) -> bool:
        return False

    def decide(self, call: Call, forecast: Forecast | None, prices: Prices = FREE) -> Decision:
        return Decision(self.effort, self.reason, 1.0, FREE)

    def alternatives(self, call: Call, decision: Decision) -> list[Alternative]:
        return []

    def describe(self, name: NameOf) -> PolicyDescription:
        return PolicyDescription(f"every request gets {name(self.effort)}, whatever the client asks.")


class FixedSettings(PolicySettings):
    kind: Literal["fixed"]
    effort: EffortName
    budgets: list[EffortName] = []

    def policy(self, resolve: Resolve) -> Policy:
        return FixedPolicy(resolve(self.effort))
