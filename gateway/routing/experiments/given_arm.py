"""The arm that a request is given, whatever its unit: to answer again by another arm what one arm has answered."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.core.arm import Arm
from gateway.routing.catalogue import PublicModel
from gateway.routing.experiments.running import Assigned
from gateway.routing.prices.price_only import PriceOnly


@dataclass(frozen=True, slots=True)
class GivenArm:
    """In place of `Experiments`. What price setters remember of the conversation belongs to the arm of its unit: this
    arm pays their prices, and they learn nothing by it.
    """

    arm: Arm
    experiment: str

    def assign(self, model: PublicModel, unit: str) -> Assigned:
        variant = model.with_arm(self.arm)
        return Assigned(replace(variant, setters=tuple(map(PriceOnly, variant.setters))), self.arm, self.experiment)
