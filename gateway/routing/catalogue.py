"""The public models as the pipeline uses them: each with its arms, its policy and its router."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.contract import Guarantee
from gateway.core.efforts import LEVELS, Effort, words
from gateway.core.errors import UnknownModel
from gateway.core.forecast import Forecast
from gateway.core.probe import Probe
from gateway.families.model_limits import ModelLimits
from gateway.routing.effort_router import forecasting
from gateway.routing.effort_router.protocol import EffortRouter, PreparedArm
from gateway.routing.policies.protocol import Policy, PolicyDescription


@dataclass(frozen=True, slots=True)
class PublicModel:
    """A public name. `level_of` names an effort by the model's levels; `promises` are those of a contract, by arm.

    `prepared` is the router made ready for each arm, by the arm's name.
    """

    name: str
    arms: tuple[Arm, ...]
    policy: Policy
    router: EffortRouter
    prepared: Mapping[str, PreparedArm]
    terms: ModelLimits
    level_of: Callable[[Effort], str]
    promises: Mapping[str, Guarantee] = field(default_factory=dict)

    @property
    def unpromised(self) -> list[str]:
        """A line for every arm under a contract of which nothing can be promised."""
        return [
            f"model {self.name}: no guarantee for arm {arm}, every request gets full effort ({promised.why})"
            for arm, promised in self.promises.items()
            if not promised.kept
        ]

    def with_router(self, router: EffortRouter) -> PublicModel:
        """The same model under another router, which is made ready for its arms."""
        prepared = {arm.name: router.prepare(arm, self.policy.probe_use) for arm in self.arms}
        return replace(self, router=router, prepared=prepared)

    @property
    def unknown_arms(self) -> list[Arm]:
        """Those of which the router can say nothing."""
        return [arm for arm in self.arms if not self.prepared[arm.name].is_known]

    async def forecast(self, call: Call, arm: Arm, deadline_s: float) -> Forecast | None:
        """None where the policy wants none, or the router knows nothing, fails, or is late."""
        if not self.policy.wants_forecast(call):
            return None
        forecast = await forecasting.ask(self.prepared[arm.name], call, deadline_s)
        promised = self.promises.get(arm.name)
        return forecast if forecast is None or promised is None else replace(forecast, promised=promised)

    def reconsider(self, call: Call, arm: Arm, before: Forecast, probe: Probe | None) -> Forecast:
        """The forecast after a probe; None: it failed."""
        return forecasting.reconsider(self.prepared[arm.name], call, before, probe)

    @property
    def policy_description(self) -> PolicyDescription:
        """The policy in the words of the configuration: a level where there is one, else a budget."""
        named = {effort: level for level, effort in self.levels.items()}
        return self.policy.describe(lambda effort: named.get(effort) or words(effort))

    @property
    def levels(self) -> Mapping[str, Effort]:
        return self.terms.levels


def levels_with(overrides: Mapping[str, Effort]) -> dict[str, Effort]:
    return {**LEVELS, **overrides}


class Catalogue:
    def __init__(self, models: Mapping[str, PublicModel]) -> None:
        self._models = dict(models)

    def find(self, name: str) -> PublicModel:
        """UnknownModel names the nearest one that exists."""
        model = self._models.get(name)
        if model is None:
            raise UnknownModel(name, self._models)
        return model

    def renew(self, models: Iterable[PublicModel]) -> None:
        """Serve these from now on, under the names that they have. Whoever has found one before keeps it."""
        self._models = {**self._models, **{model.name: model for model in models}}

    def __iter__(self) -> Iterator[PublicModel]:
        return iter(self._models.values())
