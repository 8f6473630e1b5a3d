"""The operator's bounds on effort, which most policies have."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort, clamp, size
from gateway.core.errors import ConfigError
from gateway.core.forecast import EffortForecast
from gateway.core.prices import FREE
from gateway.core.strict import EffortName
from gateway.routing.policies.protocol import NameOf, PolicySettings, Resolve


@dataclass(frozen=True, slots=True)
class EffortBounds:
    """Operator limits: minimum, maximum and default effort, and the budgets to choose from."""

    floor: Effort = NO_THINKING
    ceiling: Effort = UNLIMITED
    default: Effort = NO_THINKING
    budgets: frozenset[Effort] = frozenset()

    @property
    def offers(self) -> Set[Effort]:
        return {NO_THINKING, *self.budgets, self.floor, self.ceiling, self.default}

    def allows(self, effort: Effort) -> bool:
        return size(self.floor) <= size(effort) <= size(self.ceiling)

    def within(self, effort: Effort, call: Call) -> Effort:
        """The nearest effort that operator, key and client allow: a ceiling before a floor."""
        bounded = clamp(effort, self._floor(call), self.ceiling)
        return bounded if call.ceiling is None else min(bounded, call.ceiling, key=size)

    def allowed(self, forecasts: Iterable[EffortForecast], call: Call) -> list[EffortForecast]:
        """Those whose effort is the nearest to itself that operator and client both allow."""
        most = size(self.ceiling) if call.ceiling is None else min(size(self.ceiling), size(call.ceiling))
        least = min(size(self._floor(call)), most)
        return [forecast for forecast in forecasts if least <= size(forecast.effort) <= most]

    def _floor(self, call: Call) -> Effort:
        """The operator's, or that of the key where it is higher."""
        return self.floor if call.floor is None else max(self.floor, call.floor, key=size)

    def clamp_requested(self, requested: Effort, call: Call) -> Decision:
        """What the client named, within the bounds."""
        effort = self.within(requested, call)
        return Decision(effort, "client" if effort == requested else "policy", 1.0, FREE)

    def describe(self, name: NameOf) -> str:
        return f"never below {name(self.floor)} nor above {name(self.ceiling)}"


class BoundedSettings(PolicySettings):
    floor: EffortName = "none"
    ceiling: EffortName = "max"
    budgets: list[EffortName] = []
    """The thinking budgets to choose from."""

    def bounds(self, resolve: Resolve, default: EffortName | None) -> EffortBounds:
        """`default`: for requests of which nothing is known; the ceiling if it is None.

        ConfigError: a name is that of no effort, the floor is above the ceiling, or the default outside of both.
        """
        floor, ceiling = resolve(self.floor), resolve(self.ceiling)
        usual = ceiling if default is None else resolve(default)
        if size(floor) > size(ceiling):
            raise ConfigError([f"policy: the floor ({self.floor}) is above the ceiling ({self.ceiling})"])
        if "default_effort" in self.model_fields_set and not size(floor) <= size(usual) <= size(ceiling):
            bounds = f"from {self.floor} to {self.ceiling}"
            raise ConfigError([f"policy: default_effort ({default}) is outside of what the policy allows, {bounds}"])
        return EffortBounds(floor, ceiling, usual, frozenset(map(resolve, self.budgets)))

    def middle_budget(self, resolve: Resolve) -> EffortName:
        """The middle one of the budgets within the bounds, the lower of two; the nearest bound where none is within."""
        floor, ceiling = resolve(self.floor), resolve(self.ceiling)
        ordered = sorted(self.budgets, key=lambda name: size(resolve(name)))
        within = [name for name in ordered if size(floor) <= size(resolve(name)) <= size(ceiling)]
        if within:
            return within[(len(within) - 1) // 2]
        return self.floor if size(resolve(ordered[0])) < size(floor) else self.ceiling
