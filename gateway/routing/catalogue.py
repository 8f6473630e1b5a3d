"""The public models as the pipeline uses them: each with its arms, its policy and its router."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.contract import Guarantee
from gateway.core.decision import Decision
from gateway.core.draw import normal
from gateway.core.efforts import LEVELS, Effort, words
from gateway.core.errors import UnknownModel
from gateway.core.forecast import DIRECT, Forecast, ProbePath
from gateway.core.prices import FREE, Prices
from gateway.core.probe import Probe
from gateway.core.record import Record
from gateway.families.model_limits import ModelLimits
from gateway.routing.effort_router import forecasting
from gateway.routing.effort_router.protocol import EffortRouter, PreparedArm
from gateway.routing.experiments.experiment import Experiment
from gateway.routing.policies.protocol import Policy, PolicyDescription
from gateway.routing.prices.protocol import PriceContext, PriceSetter, Recalled
from gateway.routing.prices.work_class import NO_CLASSES, WorkClasses
from gateway.verification.protocol import VerifierSettings


@dataclass(frozen=True, slots=True)
class PublicModel:
    """A public name. `level_of` names an effort by the model's levels; `promises` are those of a contract, by arm.

    `prepared` is the router made ready for each arm, by the arm's name. `setters` add to the prices of the policy, and
    so does the class of a request among `classes`. `verifiers` score complete answers. `experiment` shares units out
    among several arms; each has the policy and the router of its variant.
    """

    name: str
    arms: tuple[Arm, ...]
    policy: Policy
    router: EffortRouter
    prepared: Mapping[str, PreparedArm]
    terms: ModelLimits
    level_of: Callable[[Effort], str]
    promises: Mapping[str, Guarantee] = field(default_factory=dict)
    setters: tuple[PriceSetter, ...] = ()
    classes: WorkClasses = NO_CLASSES
    verifiers: tuple[VerifierSettings, ...] = ()
    experiment: Experiment | None = None
    variants: Mapping[str, PublicModel] = field(default_factory=dict)

    def with_arm(self, arm: Arm) -> PublicModel:
        """The model as one of its arms has it."""
        return self.variants.get(arm.name, self)

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
        variants = {name: variant.with_router(router) for name, variant in self.variants.items()}
        return replace(self, router=router, prepared=prepared, variants=variants)

    @property
    def versions(self) -> dict[str, str]:
        """The version of the router of each arm."""
        return {arm.name: self.with_arm(arm).router.version for arm in self.arms}

    @property
    def unknown_arms(self) -> list[Arm]:
        """Those of which the router can say nothing."""
        return [arm for arm in self.arms if not self.prepared[arm.name].is_known]

    async def forecast(self, call: Call, arm: Arm, deadline_s: float) -> Forecast | None:
        """None where the router knows nothing, fails, or is late."""
        forecast = await forecasting.ask(self.prepared[arm.name], call, deadline_s)
        promised = self.promises.get(arm.name)
        return forecast if forecast is None or promised is None else replace(forecast, promised=promised)

    def reconsider(
        self, call: Call, arm: Arm, before: Forecast, probe: Probe | None, path: ProbePath = DIRECT
    ) -> Forecast:
        """The forecast after a probe; None: it failed. `path` is what led to the probe."""
        forecast = forecasting.reconsider(self.prepared[arm.name], call, before, probe)
        # The answer without thinking is there: whatever had to be read again for it has been.
        thinking = [one for one in before.efforts if one.effort.think and one.reread_tokens]
        forecast = forecast.with_reread({one.effort: one.reread_tokens for one in thinking})
        return replace(forecast, path=path) if self.policy.explore else forecast

    def price(self, context: PriceContext) -> Prices:
        """What the setters ask of a request, and its draw of exploration: the same for all of its decisions."""
        prices = FREE
        if not self.policy.wants_forecast(context.call):
            return prices
        work = self.classes.find(context.call)
        if work is not None:
            prices += Prices.of(work[0], work[1].price_of_token, work[1].price_of_waiting)
        for setter in self.setters:
            prices += setter.price(context)
        if self.policy.explore:
            prices = replace(prices, z=normal(f"{self.name}\0{context.unit}\0{context.id}"))
        return prices

    def recall(self, context: PriceContext) -> Recalled | None:
        """What a setter remembers of the request's conversation."""
        for setter in self.setters:
            found = setter.recall(context)
            if found is not None:
                return found
        return None

    def decided(self, context: PriceContext, decision: Decision) -> None:
        """The price setters learn what is about to be sent."""
        for setter in self.setters:
            setter.decided(context, decision)

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

    def __contains__(self, name: str) -> bool:
        return name in self._models

    def find(self, name: str) -> PublicModel:
        """UnknownModel names the nearest one that exists."""
        model = self._models.get(name)
        if model is None:
            raise UnknownModel(name, self._models)
        return model

    def observe(self, record: Record) -> None:
        """A request has ended: the price setters of its model learn of it."""
        model = self._models.get(record.model or "")
        for setter in model.setters if model is not None and record.arm is not None else ():
            setter.observe(record)

    def renew(self, models: Iterable[PublicModel]) -> None:
        """Serve these from now on, under the names that they have. Whoever has found one before keeps it."""
        self._models = {**self._models, **{model.name: model for model in models}}

    def __iter__(self) -> Iterator[PublicModel]:
        return iter(self._models.values())
