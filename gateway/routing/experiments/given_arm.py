"""The arm that a request is given, whatever its unit: to answer again by another arm what one arm has answered."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.core.arm import Arm
from gateway.routing.catalogue import PublicModel
from gateway.routing.experiments.running import Assigned
from gateway.routing.policies.protocol import Policy
from gateway.routing.prices.price_only import PriceOnly


@dataclass(frozen=True, slots=True)
class GivenArm:
    """In place of `Experiments`. What price setters remember of the conversation belongs to the arm of its unit: this
    arm pays their prices, and they learn nothing by it. `policy` decides in place of the arm's own.
    """

    arm: Arm
    experiment: str | None = None
    policy: Policy | None = None

    def assign(self, model: PublicModel, unit: str) -> Assigned:
        variant = model.with_arm(self.arm)
        policy = self.policy or variant.policy
        setters = tuple(map(PriceOnly, variant.setters))
        return Assigned(replace(variant, policy=policy, setters=setters), self.arm, self.experiment)
