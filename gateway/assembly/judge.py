"""The model that compares free texts for learning."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.assembly.model import catalogue
from gateway.backends.latency import LatencyModels
from gateway.config.model import ModelSettings
from gateway.config.settings import Settings
from gateway.core.deployment import Deployment
from gateway.routing.catalogue import Catalogue, PublicModel


def judge(
    chosen: Settings, known: Mapping[str, Deployment], latencies: LatencyModels, models: Catalogue
) -> PublicModel | None:
    """A public model, else a deployment that is called as one. None: the operator names none."""
    name = chosen.learn.judge
    if name is None or name in models:
        return None if name is None else models.find(name)
    hybrid = known[name].family.hybrid
    backend = ModelSettings(deployment=name) if hybrid else ModelSettings(none=name)
    alone = chosen.model_copy(update={"models": {name: backend}, "experiments": {}})
    return catalogue(alone, known, latencies).find(name)
