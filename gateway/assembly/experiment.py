"""Experiments: which model has one, and its arms, each with the policy and the router that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from pydantic import ValidationError

from gateway.assembly.each import each
from gateway.config.experiment import ExperimentArmSettings, ExperimentSettings
from gateway.config.model import ArmSettings, ModelSettings
from gateway.config.problems import faults
from gateway.config.settings import Settings
from gateway.core.arm import Arm
from gateway.core.errors import ConfigError, suggestion
from gateway.routing.catalogue import PublicModel
from gateway.routing.experiments.experiment import Experiment

Build = Callable[[str, ModelSettings], PublicModel]


class Tried(NamedTuple):
    """An experiment with a table of its own, and the model that it is on."""

    settings: ExperimentSettings
    model: ModelSettings


def split(chosen: Settings) -> tuple[dict[str, ModelSettings], dict[str, Tried]]:
    """The models that are in no experiment with a table of its own, and the experiments that have one.

    ConfigError: a model that does not exist or is in two, too few arms, or a default that is none of them.
    """
    wrong: list[str] = []
    taken: dict[str, str] = {}
    for name, given in chosen.experiments.items():
        wrong += [f"experiments.{name}.{fault}" for fault in _faults(name, given, chosen, taken)]
        taken.setdefault(given.model, name)
    if wrong:
        raise ConfigError(wrong)
    alone = {name: model for name, model in chosen.models.items() if name not in taken}
    return alone, {name: Tried(given, chosen.models[given.model]) for name, given in chosen.experiments.items()}


def _faults(name: str, given: ExperimentSettings, chosen: Settings, taken: Mapping[str, str]) -> Iterator[str]:
    model = chosen.models.get(given.model)
    if model is None:
        yield f"model: {given.model!r} is not among [models].{suggestion(given.model, chosen.models)}"
        return
    if given.model in taken:
        yield f"model: {given.model} is in experiment {taken[given.model]} already: a model can be in one"
        return
    if name != given.model and name in chosen.models and chosen.models[name].arms:
        yield f"the arms of models.{name} are an experiment of this name already: choose another"
    if given.arms and model.arms:
        yield f"arms: models.{given.model} has arms, too: name them in one place"
        return
    arms = given.arms or model.arms
    if len(arms) < 2:
        yield f"arms: an experiment compares two arms or more, and there {'is one' if arms else 'are none'}"
    elif given.default is not None and given.default not in arms:
        yield f"default: {given.default!r} is not one of its arms.{suggestion(given.default, arms)}"


def with_arms(name: str, model: ModelSettings, build: Build) -> PublicModel:
    """A model whose arms, if it has several, are an experiment without more."""
    given = ExperimentSettings(model=name)
    return _shared(name, given, model, build) if len(model.arms) > 1 else build(name, model)


def joined(name: str, tried: Tried, build: Build) -> PublicModel:
    """The model with the experiment's arms. It is described, and its requests are read, as by the default arm.

    ConfigError: an arm names what does not exist, or cannot do its part.
    """
    given, model = tried
    if not given.arms:
        return _shared(name, given, model, build)
    arms = each(given.arms, "arms", lambda arm, settings: _with(arm, settings, model))
    variants = each(arms, "arms", lambda arm, settings: build(given.model, settings))
    default = variants[given.default or next(iter(variants))]
    every = tuple(variant.arms[0] for variant in variants.values())
    _check_dollars(given, every)
    return replace(
        default,
        arms=every,
        prepared={arm: variant.prepared[arm] for arm, variant in variants.items()},
        promises={arm: promised for variant in variants.values() for arm, promised in variant.promises.items()},
        experiment=Experiment(name, given, every, default.arms[0].name, _adjusts(given, arms[default.arms[0].name])),
        variants={arm: replace(variant, setters=default.setters) for arm, variant in variants.items()},
    )


def _shared(name: str, given: ExperimentSettings, model: ModelSettings, build: Build) -> PublicModel:
    """Arms that have the policy and the router of their model."""
    built = build(given.model, model)
    _check_dollars(given, built.arms)
    default = given.default or built.arms[0].name
    return replace(built, experiment=Experiment(name, given, built.arms, default, _adjusts(given, model)))


def _adjusts(given: ExperimentSettings, default: ModelSettings) -> bool:
    """ConfigError: the default arm has nothing that forecasts."""
    if given.adjust and default.router == "none":
        raise ConfigError(["adjust: the default arm has no router, and so no forecasts: set one, or leave this out"])
    return default.policy.needs_router if given.adjust is None else given.adjust


def _check_dollars(given: ExperimentSettings, arms: Iterable[Arm]) -> None:
    """ConfigError: pairs may cost so many dollars, and nothing costs any."""
    prices = [one.pricing for arm in arms for one in arm.deployments]
    if given.paired is None or given.paired.max_dollars is None:
        return
    if not any(price.input_price or price.output_price for price in prices):
        raise ConfigError(["paired.max_dollars: no deployment of its arms has a price: set output_price there"])


def _with(name: str, arm: ExperimentArmSettings, model: ModelSettings) -> ModelSettings:
    """ConfigError: the policy has no dial, or it needs a router that is not there."""
    where = arm if arm.names_deployments else model
    policy = arm.policy or model.policy
    if arm.dial is not None:
        if "dial" not in type(policy).model_fields:
            raise ConfigError([f"dial: a {policy.kind_name} policy has no dial"])
        policy = policy.model_copy(update={"dial": arm.dial})
    changes = {
        "arms": {name: ArmSettings(deployment=where.deployment, none=where.none, think=where.think, weight=arm.weight)},
        "deployment": None,
        "none": None,
        "think": None,
        "policy": policy,
        "router": arm.router or model.router,
    }
    try:
        return ModelSettings.model_validate({**dict(model), **changes})
    except ValidationError as error:
        raise ConfigError([fault.replace("the file:", "policy:") for fault in faults(error, ModelSettings)]) from error
