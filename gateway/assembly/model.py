"""Builds the public models: arms, policies and routers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import lru_cache, partial

from gateway.assembly import experiment
from gateway.assembly.each import each, named
from gateway.assembly.live import NOTHING_RUNS, Live
from gateway.assembly.price_setters import price_setters
from gateway.backends.latency import LatencyModels
from gateway.config import settings
from gateway.config.model import ArmSettings, ModelSettings
from gateway.core.arm import Arm
from gateway.core.contract import Contract, Guarantee
from gateway.core.deployment import Deployment
from gateway.core.efforts import Effort, from_budget, level_of, size
from gateway.core.errors import ConfigError, suggestion
from gateway.families.answer_limits import AnswerLimits
from gateway.families.compiler import row_enforcement
from gateway.families.effort_encoding import nearest
from gateway.families.model_limits import ModelLimits
from gateway.routing.catalogue import Catalogue, PublicModel, levels_with
from gateway.routing.effort_router.protocol import EffortRouter
from gateway.routing.effort_router.registry import make_router
from gateway.routing.policies.protocol import Policy, Resolve
from gateway.routing.prices.work_class import WorkClasses
from gateway.verification.implicit import implicit_verifiers

# Size of the cache of level names: policies choose few efforts, clients may request any budget.
EFFORTS = 1024


def catalogue(
    chosen: settings.Settings,
    known: Mapping[str, Deployment],
    latencies: LatencyModels,
    live: Live = NOTHING_RUNS,
) -> Catalogue:
    """ConfigError: a deployment or effort is unknown or not supported, or an artifact is invalid.

    `live` is what runs already.
    """
    routers: dict[str, EffortRouter] = {}
    implicit = implicit_verifiers() if chosen.feedback.implicit else ()

    def build(name: str, model: ModelSettings) -> PublicModel:
        levels = levels_with({level: from_budget(_budget(value)) for level, value in model.levels.items()})
        resolve = resolver(levels)
        if model.router not in routers:
            routers[model.router] = make_router(model.router, latencies)
        policy = model.policy.policy(resolve)
        arms = _arms(model, known, policy, levels)
        router = routers[model.router]
        if policy.contract is not None:
            arms = tuple(_with_observed_efforts(arm, router, policy) for arm in arms)
        prepared = {arm.name: router.prepare(arm, policy.probe_use) for arm in arms}
        promises = {}
        if policy.contract is not None:
            promises = {arm.name: prepared[arm.name].guarantee(policy.contract, _allowed(arm, policy)) for arm in arms}
            _check_promises(policy.contract, promises)
        sampling = {True: model.sampling.think.given, False: model.sampling.none.given}
        return PublicModel(
            name=name,
            arms=arms,
            promises=promises,
            policy=policy,
            router=router,
            prepared=prepared,
            terms=ModelLimits(
                AnswerLimits(model.answer_allowance, model.max_answer_tokens, model.longest_thought),
                levels,
                model.strict,
                sampling,
            ),
            level_of=lru_cache(EFFORTS)(partial(level_of, levels=levels)),
            classes=WorkClasses(model.classes),
            verifiers=(*model.verify, *implicit),
            setters=price_setters(name, model, policy, arms, live),
        )

    alone, tried = experiment.split(chosen)
    built = each(alone, "models", lambda name, model: experiment.with_arms(name, model, build))
    for model in each(tried, "experiments", lambda name, given: experiment.joined(name, given, build)).values():
        built[model.name] = model
    found = Catalogue({name: built[name] for name in chosen.models})
    live.watch(found)
    return found


def _budget(value: int | str) -> int | None:
    return value if isinstance(value, int) else None


def _check_promises(contract: Contract, promises: Mapping[str, Guarantee]) -> None:
    """ConfigError: no price keeps a contract that has to be kept."""
    broken = [f"no price keeps the contract in arm {arm}: {one.why}" for arm, one in promises.items() if not one.kept]
    if contract.required and broken:
        way_out = 'promise less, or set if_impossible = "full_effort"'
        raise ConfigError([f"policy: {line}; {way_out}" for line in broken])


def resolver(levels: Mapping[str, Effort]) -> Resolve:
    def resolve(name: str | int) -> Effort:
        if isinstance(name, int):
            return from_budget(name)
        if name not in levels and name != "unlimited":
            raise ConfigError([f"policy: {name!r} is not an effort.{suggestion(name, [*levels, 'unlimited'])}"])
        return levels.get(name) or from_budget(None)

    return resolve


def _arms(
    model: ModelSettings,
    known: Mapping[str, Deployment],
    policy: Policy,
    levels: Mapping[str, Effort],
) -> tuple[Arm, ...]:
    if model.arms:
        return tuple(_arm(name, arm, arm.weight, model, known, policy, levels) for name, arm in model.arms.items())
    name = "merged" if model.deployment else "split"
    return (_arm(name, model, 1.0, model, known, policy, levels),)


def _arm(
    name: str,
    backends: ModelSettings | ArmSettings,
    weight: float,
    model: ModelSettings,
    known: Mapping[str, Deployment],
    policy: Policy,
    levels: Mapping[str, Effort],
) -> Arm:
    """An arm with the efforts that it can serve. ConfigError: a deployment is missing or unsuitable."""
    none = named(backends.deployment or backends.none, known)
    think = named(backends.deployment or backends.think, known)
    if backends.deployment and none is not None and not none.family.hybrid:
        family = none.family.name
        raise ConfigError([f"deployment: family {family} has no thinking switch: set `none` and `think` instead"])
    efforts = _supported(policy.offers, none, think, levels)
    if not efforts:
        raise ConfigError([f"arm {name}: it has no deployment for any of the efforts that its policy may choose"])
    return Arm.of(name, none, think, efforts, weight)


def _supported(
    offered: Collection[Effort], none: Deployment | None, think: Deployment | None, levels: Mapping[str, Effort]
) -> tuple[Effort, ...]:
    """The offered efforts that the deployments support, without duplicates: of budgets that a family maps to the same
    level, the smallest.
    """
    efforts: dict[object, Effort] = {}
    for effort in sorted(offered, key=size):
        deployment = think if effort.think else none
        if deployment is None or (not effort.think and deployment.family.off is None):
            continue
        encoded = nearest(effort, "", deployment.family, levels, row_enforcement(deployment), [])
        if encoded.effort is None:
            efforts[effort] = effort
        else:
            sent = effort if encoded.effort.budget is None else encoded.effort
            efforts.setdefault((encoded.effort, encoded.level), sent)
    return tuple(sorted(efforts.values(), key=size))


def _with_observed_efforts(arm: Arm, router: EffortRouter, policy: Policy) -> Arm:
    """The arm restricted to efforts with observed outcomes, unless the strongest allowed effort has none."""
    observed, allowed = router.observed_efforts(arm), _allowed(arm, policy)
    return replace(arm, efforts=observed) if allowed and allowed[-1] in observed else arm


def _allowed(arm: Arm, policy: Policy) -> list[Effort]:
    """The arm's efforts within the bounds of its policy, weakest first."""
    return [effort for effort in arm.efforts if policy.allows(effort)]
