"""Where each effort goes: what an experiment compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.core.deployment import Deployment
from gateway.core.efforts import Effort

BackendKind = Literal["merged", "split"]


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """Where each effort goes: `none` without thinking, `think` with it. The same deployment twice is a merged backend.

    One object for each arm: compared and hashed by identity.

    `efforts` are those on offer, weakest first; `models` are the deployments' names in the router's outcome data.
    """

    name: str
    none: Deployment | None
    think: Deployment | None
    efforts: tuple[Effort, ...]
    weight: float = 1.0

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(d.router_name for d in (self.none, self.think) if d is not None))

    def deployment_for(self, effort: Effort) -> Deployment | None:
        return self.think if effort.think else self.none

    @property
    def for_passthrough(self) -> Deployment:
        """Who gets what is passed on: the one that need not think, if there is one."""
        deployment = self.none or self.think
        assert deployment is not None, "an arm has a deployment"
        return deployment

    @property
    def passthrough_may_think(self) -> bool:
        """Whether a raw prompt may open a thought there."""
        if self.none is None:
            return True
        family = self.none.family
        return family.on is not None and (family.hybrid or family.off is None)
