"""The routers by the names that they have in the configuration."""

from __future__ import annotations

from collections.abc import Callable

from gateway.backends.latency import LatencyModels
from gateway.config.types import ROUTER_NAMES
from gateway.core.errors import ConfigError
from gateway.routing.effort_router.cold_start import GenericProbe
from gateway.routing.effort_router.constant import ConstantRouter
from gateway.routing.effort_router.learned import PredictorRouter
from gateway.routing.effort_router.none import NoRouter
from gateway.routing.effort_router.predictor import Predictor
from gateway.routing.effort_router.protocol import EffortRouter

MakeRouter = Callable[[LatencyModels], EffortRouter]

# Those that are no artifacts. Any other name is that of an artifact, or its path.
ROUTERS: dict[str, MakeRouter] = {"none": lambda paces: NoRouter(), "constant": ConstantRouter}


def register(name: str, make: MakeRouter) -> None:
    """Add a router, which is made with the pace of each deployment. Call it before a configuration is read.

    ValueError: another router has that name.
    """
    if ROUTERS.setdefault(name, make) is not make:
        raise ValueError(f"a router {name!r} is registered already")
    ROUTER_NAMES.add(name)


def unregister(name: str) -> None:
    del ROUTERS[name]
    ROUTER_NAMES.discard(name)


def make_router(name: str, paces: LatencyModels) -> EffortRouter:
    """ConfigError: an artifact that cannot be used."""
    make = ROUTERS.get(name)
    return make(paces) if make else PredictorRouter(_predictor(name), paces, _generic())


def _predictor(name: str) -> Predictor:
    # Only a gateway that has a learned router pays for importing one.
    from router_model.model import predict

    try:
        loaded: Predictor = predict.load(name)
    except predict.ArtifactError as error:
        raise ConfigError([f"router: {error}"]) from error
    return loaded


def _generic() -> GenericProbe:
    from router_model.model import generic_probe

    return generic_probe.load()
