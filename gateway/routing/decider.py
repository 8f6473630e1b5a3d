"""From a call to a plan: which arm and prices it gets, what each effort would bring, and which one is chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.auth.principal import Principal
from gateway.backends.level_usage.sample import Stratum, stratum_of
from gateway.backends.level_usage.usage import LevelUsage
from gateway.core import efforts
from gateway.core.arm import Arm
from gateway.core.assignment import Assignment
from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.efforts import Effort
from gateway.core.forecast import EffortForecast, Forecast, ProbePath
from gateway.core.planned import Planned
from gateway.core.prices import FREE, Prices
from gateway.core.probe import Probe
from gateway.core.unit import among_keys, unit_hash
from gateway.execution.probe.prober import Prober
from gateway.families.compiler import Enforce, compile_plan
from gateway.routing.catalogue import Catalogue, PublicModel
from gateway.routing.experiments.running import Assigner
from gateway.routing.prices.protocol import PriceContext, Recalled
from gateway.routing.templates import Templates


class Routed(NamedTuple):
    """A call, where it goes, and what is added to the policy's prices for it."""

    call: Call
    model: PublicModel
    assignment: Assignment
    id: str
    team: str | None = None
    prices: Prices = FREE
    recalled: Recalled | None = None

    @property
    def held(self) -> Effort | None:
        """The effort that its conversation keeps."""
        return None if self.recalled is None else self.recalled.effort

    @property
    def arm(self) -> Arm:
        return self.assignment.arm

    @property
    def context(self) -> PriceContext:
        """What price setters see of it."""
        return PriceContext(self.id, self.call, self.assignment.arm, self.assignment.unit, self.team)


@dataclass(frozen=True, slots=True)
class Decider:
    """Changes nothing but in `learn`: the pipeline reserves, sends and records what it says.

    Promises hold for requests as they were tried, so a model with a contract reads its requests whole.
    """

    catalogue: Catalogue
    experiments: Assigner
    prober: Prober
    enforce: Enforce
    router_deadline_s: float
    levels: LevelUsage
    templates: Templates | None = None

    def route(self, call: Call, principal: Principal, id: str) -> Routed:
        """Where the call goes, not priced yet; `id` is the gateway's own for the request. UnknownModel."""
        key = principal.key
        unit = among_keys(call.unit, key)
        model, arm, experiment = self.experiments.assign(self.catalogue.find(call.model), unit)
        user = unit_hash(among_keys(call.user, key)) if call.user else None
        session = unit_hash(among_keys(call.session, key)) if call.session else None
        assignment = Assignment(arm, unit_hash(unit), user, experiment, session)
        routed = Routed(_in_class(call, model), model, assignment, id, principal.team)
        if call.passthrough is not None or not model.policy.wants_forecast(call):
            return routed
        recalled = model.recall(routed.context)
        return routed if recalled is None else routed._replace(recalled=recalled)

    def priced(self, routed: Routed) -> Routed:
        """At the prices of this moment: ask for them right before the decision, which the setters then learn of."""
        if not routed.model.policy.wants_forecast(routed.call):
            return routed
        return routed._replace(prices=routed.model.price(routed.context))

    async def forecast(self, routed: Routed, always: bool = False) -> Forecast | None:
        """What each effort would bring; without a probe, where none is possible.

        None where the policy wants none, unless `always`, and where the router knows nothing, fails, or is late.
        """
        call, model, arm = routed.call, routed.model, routed.arm
        if not always and (routed.held is not None or not model.policy.wants_forecast(call)):
            return None
        if self.templates is not None and not model.promises:
            call = self.templates.judged(call)
        forecast = await model.forecast(call, arm, self.router_deadline_s)
        if forecast is not None:
            forecast = self.levels.priced(arm, forecast, _stratum(routed, forecast))
        if forecast is not None and routed.recalled is not None:
            forecast = forecast.with_reread(_reread(routed.recalled, arm, forecast))
        if forecast is not None and forecast.probe_value and not self.prober.possible(call, arm, model.terms):
            return forecast.without_probe()
        return forecast

    def learn(self, call: Call) -> None:
        """What requests have in common, from one that is served and not only explained."""
        if self.templates is not None:
            self.templates.learn(call)

    def reconsider(self, routed: Routed, before: Forecast, heard: Probe | None, path: ProbePath) -> Forecast:
        """The forecast after a probe."""
        forecast = routed.model.reconsider(routed.call, routed.arm, before, heard, path)
        return self.levels.priced(routed.arm, forecast, _stratum(routed, before))

    async def baseline(self, routed: Routed, forecast: Forecast | None) -> EffortForecast | None:
        """What the default arm of the request's experiment would bring, by text and policy alone: the same whatever arm
        the request has, of which `forecast` is. None where the experiment does not adjust for it, or nothing is known.
        """
        if routed.assignment.experiment is None:
            return None
        model = self.catalogue.find(routed.call.model)
        if model.experiment is None or not model.experiment.adjusts:
            return None
        arm = model.experiment.default_arm
        default = model.with_arm(arm)
        if arm is not routed.arm or forecast is None:
            forecast = await default.forecast(routed.call, arm, self.router_deadline_s)
        if forecast is None:
            return None
        chosen = default.policy.decide(routed.call, forecast.without_probe()).effort
        return nearest(forecast, chosen)

    def decide(self, principal: Principal, routed: Routed, forecast: Forecast | None) -> tuple[Call, Decision]:
        """The call within what the sender may use now, and the decision for it. NotAllowed."""
        bounded = principal.bound(routed.call, routed.model.levels, routed.arm)
        return bounded, _decided(routed, bounded, forecast)

    def plan(
        self,
        routed: Routed,
        bounded: Call,
        decision: Decision,
        forecast: Forecast | None,
        within: Effort | None = None,
    ) -> Planned:
        """What would be sent, within this effort. InvalidRequest: the model is strict about what the client named."""
        lowered = self._is_lowered(routed, bounded, decision, forecast)
        call = bounded
        if within is not None and efforts.size(within) < efforts.size(decision.effort):
            most = within if bounded.most is None else min(within, bounded.most, key=efforts.size)
            call, lowered = replace(bounded, most=most), True
        plan = compile_plan(call, decision.effort, routed.arm, routed.model.terms, forecast, self.enforce)
        return Planned(call, plan, decision, lowered)

    def _is_lowered(self, routed: Routed, bounded: Call, decision: Decision, forecast: Forecast | None) -> bool:
        """Whether the policy would choose a stronger effort if none of the key's quota were used."""
        if bounded.unlowered is None:
            return False
        own = routed.call.ceiling
        ceiling = bounded.unlowered if own is None else min(own, bounded.unlowered, key=efforts.size)
        free = replace(bounded, most=bounded.unlowered, ceiling=ceiling)
        return efforts.size(_decided(routed, free, forecast).effort) > efforts.size(decision.effort)


def nearest(forecast: Forecast, effort: Effort) -> EffortForecast:
    """What is forecast of the effort, or of the one whose budget is nearest."""

    def distance(one: EffortForecast) -> tuple[float, float]:
        size = efforts.size(one.effort)
        return (0.0 if one.effort == effort else abs(size - efforts.size(effort))), -size

    return min(forecast.efforts, key=distance)


def _decided(routed: Routed, bounded: Call, forecast: Forecast | None) -> Decision:
    """By the policy, unless an earlier decision of the conversation holds."""
    if routed.held is None:
        return routed.model.policy.decide(bounded, forecast, routed.prices)
    effort = routed.held if bounded.ceiling is None else min(routed.held, bounded.ceiling, key=efforts.size)
    return Decision(effort, "sticky", 1.0, routed.prices)


def _in_class(call: Call, model: PublicModel) -> Call:
    """With the dial of its class, where the client names none. InvalidRequest: it names a class that is not there."""
    work = model.classes.find(call)
    if work is None or work[1].dial is None or call.dial is not None or not model.policy.has_dial:
        return call
    return replace(call, dial=work[1].dial)


def _stratum(routed: Routed, forecast: Forecast) -> Stratum:
    """Those requests that this one is compared with, when levels are verified."""
    return stratum_of(forecast.efforts[0] if forecast.efforts else None, routed.call.prompt_tokens)


def _reread(recalled: Recalled, arm: Arm, forecast: Forecast) -> dict[Effort, float]:
    """What each effort makes a backend read again: the cached prompt, where it goes to another deployment."""
    efforts = [one.effort for one in forecast.efforts]
    return {e: float(recalled.tokens) for e in efforts if arm.deployment_for(e).name != recalled.deployment}
