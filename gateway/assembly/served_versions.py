"""The settings with the routers that were learned: the version that serves each model, and the one that is tried."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson

from gateway.config.experiment import ExperimentArmSettings, ExperimentSettings
from gateway.config.model import ModelSettings
from gateway.config.settings import Settings
from gateway.core.router_version import RouterVersion, VersionsOfModel
from gateway.routing.effort_router.registry import ROUTERS
from gateway.routing.version_control import VersionControl
from gateway.storage.router_versions import RouterVersions
from router_model.model import shipped

log = logging.getLogger("thinkgate")
CANARY = "canary"
# What a policy takes at most.
MOST_EXPLORATION = 3.0


def with_versions(chosen: Settings) -> Settings:
    """What is to be served: `chosen` itself where nothing was learned. ConfigError: what was learned is out of reach.

    A version that is missing, or was learned from another router than the configured one, is left out with a line in
    the log: the configured router serves then.
    """
    store = RouterVersions(chosen.versions_path)
    models, experiments = dict(chosen.models), dict(chosen.experiments)
    drifts = False
    for name, found in store.read().items():
        model = models.get(name)
        if model is None or not _applies(name, model, found):
            continue
        if found.drift:
            log.warning("model %s: traffic drifts: %s", name, "; ".join(found.drift.values()))
            models[name] = model = _exploring(model, chosen.learn.drift_explore)
            drifts = True
        usable = {one.version: str(store.artifact(name, one.version)) for one in _usable(store, name, found)}
        serving, candidate = found.serving, found.candidate
        if serving is not None and serving.version in usable:
            models[name] = model = model.model_copy(update={"router": usable[serving.version]})
        if candidate is not None and candidate.state == CANARY and candidate.version in usable:
            if obstacle := canary_obstacle(chosen, name):
                log.warning("model %s: router %s cannot be tried: %s", name, candidate.version, obstacle)
                continue
            tried = _experiment(chosen, name, model, usable[candidate.version])
            experiments[candidate.experiment] = tried
    learn = chosen.learn
    if drifts:
        learn = learn.model_copy(update={"shadow": min(1.0, learn.shadow * learn.drift_explore)})
    return chosen.model_copy(update={"models": models, "experiments": experiments, "learn": learn})


def canary_obstacle(chosen: Settings, model: str) -> str | None:
    """Why no version can be tried on a share of the model's units; None: one can."""
    if chosen.models[model].arms or any(one.model == model for one in chosen.experiments.values()):
        return "the model is in an experiment"
    return "records keep no units" if "unit" in chosen.records.redact else None


def configured_version(router: str) -> str | None:
    """The version of an artifact that a configuration names; None: it is none, or cannot be read."""
    if router in ROUTERS:
        return None
    folder = Path(router) if (Path(router) / "artifact.json").is_file() else shipped.FOLDER / router
    try:
        return str(orjson.loads((folder / "artifact.json").read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def version_control(chosen: Settings) -> VersionControl:
    found = {name: configured_version(model.router) for name, model in chosen.models.items()}
    known = {name: version for name, version in found.items() if version is not None}
    return VersionControl(RouterVersions(chosen.versions_path), known)


def default_arm(model: ModelSettings) -> str:
    """The name of the arm of a model that has one."""
    return "merged" if model.deployment else "split"


def _applies(name: str, model: ModelSettings, found: VersionsOfModel) -> bool:
    configured = configured_version(model.router)
    if configured != found.configured:
        log.warning(
            "model %s: what was learned from router %s is not served, as %s is configured now",
            name,
            found.configured,
            configured or model.router,
        )
    return configured == found.configured


def _exploring(model: ModelSettings, factor: float) -> ModelSettings:
    """With more exploration, where its policy explores at all."""
    strength = getattr(model.policy, "explore", 0.0)
    if not strength:
        return model
    policy = model.policy.model_copy(update={"explore": min(MOST_EXPLORATION, strength * factor)})
    return model.model_copy(update={"policy": policy})


def _usable(store: RouterVersions, name: str, found: VersionsOfModel) -> Iterator[RouterVersion]:
    for one in found.versions:
        if one.state not in ("serving", CANARY):
            continue
        if configured_version(str(store.artifact(name, one.version))) == one.version:
            yield one
        else:
            log.warning("model %s: router %s is missing, and is not served", name, one.version)


def _experiment(chosen: Settings, name: str, model: ModelSettings, canary: str) -> ExperimentSettings:
    learn = chosen.learn
    served = default_arm(model)
    arms: Mapping[str, ExperimentArmSettings] = {
        served: ExperimentArmSettings(weight=1 - learn.canary),
        CANARY: ExperimentArmSettings(router=canary, weight=learn.canary),
    }
    return ExperimentSettings(
        model=name, arms=dict(arms), default=served, guardrails=dict(learn.guardrails), level=learn.level
    )
