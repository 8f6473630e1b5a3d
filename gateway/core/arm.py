"""An arm: which deployment serves each effort; the unit that an experiment compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, Effort, size

LEAST_THOUGHT = Effort(think=True, budget=0)


class EffortRoute(NamedTuple):
    """Requests with an effort from `least` up to the arm's next route go to `deployment`.

    A route that begins without thinking serves only that: thinking needs its own route, even to the same deployment.
    """

    least: Effort
    deployment: Deployment


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """An ordered map from efforts to deployments. Compared and hashed by identity.

    `routes` begin with the weakest effort. `efforts` are those offered, weakest first.
    """

    name: str
    routes: tuple[EffortRoute, ...]
    efforts: tuple[Effort, ...]
    weight: float = 1.0

    @classmethod
    def of(
        cls,
        name: str,
        none: Deployment | None,
        think: Deployment | None,
        efforts: tuple[Effort, ...],
        weight: float = 1.0,
    ) -> Arm:
        """An arm of one deployment without thinking and one with it; the same twice is a merged backend."""
        ends = ((NO_THINKING, none), (LEAST_THOUGHT, think))
        return cls(name, tuple(EffortRoute(least, one) for least, one in ends if one is not None), efforts, weight)

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """The distinct deployments, in the order of the efforts that they serve."""
        return tuple(dict.fromkeys(route.deployment for route in self.routes))

    @property
    def thinking(self) -> tuple[Deployment, ...]:
        """The deployments that get requests with thinking."""
        return tuple(dict.fromkeys(route.deployment for route in self.routes if route.least.think))

    @property
    def models(self) -> tuple[str, ...]:
        """The deployments' names in the router's outcome data."""
        return tuple(dict.fromkeys(one.router_name for one in self.deployments))

    def find(self, effort: Effort) -> Deployment | None:
        """The deployment for an effort, whether offered or not; None: there is none."""
        found = None
        for least, deployment in self.routes:
            if least.think == effort.think and size(least) <= size(effort):
                found = deployment
        return found

    def deployment_for(self, effort: Effort) -> Deployment:
        """The deployment for an offered effort. LookupError: there is none."""
        deployment = self.find(effort)
        if deployment is None:
            raise LookupError(f"arm {self.name} has no deployment for {effort}")
        return deployment

    @property
    def for_passthrough(self) -> Deployment:
        """The deployment for passed-through requests: the one without thinking, if there is one."""
        return self.routes[0].deployment

    @property
    def passthrough_may_think(self) -> bool:
        """Whether the model may think in response to a raw prompt."""
        least, deployment = self.routes[0]
        family = deployment.family
        return least.think or (family.on is not None and (family.hybrid or family.off is None))
