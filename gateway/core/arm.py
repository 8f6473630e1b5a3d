"""Where each effort goes: what an experiment compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, Effort, size

LEAST_THOUGHT = Effort(think=True, budget=0)


class Route(NamedTuple):
    """From the effort `least` on, up to the next route of the arm, requests go to `deployment`.

    A route that begins without thinking ends there: what thinks needs a route of its own, if to the same deployment.
    """

    least: Effort
    deployment: Deployment


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """An ordered map from efforts to deployments. One object for each arm: compared and hashed by identity.

    `routes` begin with the weakest effort. `efforts` are those on offer, weakest first.
    """

    name: str
    routes: tuple[Route, ...]
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
        """One deployment without thinking and one with it; the same twice is a merged backend."""
        ends = ((NO_THINKING, none), (LEAST_THOUGHT, think))
        return cls(name, tuple(Route(least, one) for least, one in ends if one is not None), efforts, weight)

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """Each once, in the order of the efforts that they serve."""
        return tuple(dict.fromkeys(route.deployment for route in self.routes))

    @property
    def thinking(self) -> tuple[Deployment, ...]:
        """Those that get requests which think."""
        return tuple(dict.fromkeys(route.deployment for route in self.routes if route.least.think))

    @property
    def models(self) -> tuple[str, ...]:
        """The deployments' names in the router's outcome data."""
        return tuple(dict.fromkeys(one.router_name for one in self.deployments))

    def find(self, effort: Effort) -> Deployment | None:
        """Who serves an effort, on offer or not; None: nobody."""
        found = None
        for least, deployment in self.routes:
            if least.think == effort.think and size(least) <= size(effort):
                found = deployment
        return found

    def deployment_for(self, effort: Effort) -> Deployment:
        """Who serves an effort that is on offer. LookupError: nobody, so that it is not."""
        deployment = self.find(effort)
        if deployment is None:
            raise LookupError(f"arm {self.name} has no deployment for {effort}")
        return deployment

    @property
    def for_passthrough(self) -> Deployment:
        """Who gets what is passed on: the one that need not think, if there is one."""
        return self.routes[0].deployment

    @property
    def passthrough_may_think(self) -> bool:
        """Whether a raw prompt may open a thought there."""
        least, deployment = self.routes[0]
        family = deployment.family
        return least.think or (family.on is not None and (family.hybrid or family.off is None))
