"""Routers of a running gateway: artifacts are read again when operators ask for it, and a bad one changes nothing.

A running request keeps its model, router and prices to its end.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway import assembly
from gateway.backends.latency import LatencyModels
from gateway.config.settings import Settings
from gateway.core.deployment import Deployment
from gateway.core.errors import ConfigError
from gateway.observability.metrics import Metrics
from gateway.routing.catalogue import Catalogue
from gateway.routing.effort_router.registry import ROUTERS

log = logging.getLogger("thinkgate")
FILES = ("artifact.json", "weights.npz")


class RouterReload:
    """Those of this process. Any thread may ask for a reload."""

    def __init__(
        self,
        settings: Settings,
        deployments: Mapping[str, Deployment],
        paces: LatencyModels,
        catalogue: Catalogue,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._deployments = deployments
        self._paces = paces
        self._catalogue = catalogue
        self._metrics = metrics
        self._lock = threading.Lock()

    def reload(self) -> dict[str, str]:
        """The version that each model is served with from now on.

        ConfigError: artifacts that were refused; their models stay as they were, and others are served anew.
        """
        with self._lock:
            faults: list[str] = []
            for name in sorted({model.router for model in self._settings.models.values()} - {*ROUTERS}):
                try:
                    self._metrics.reloads.labels(self._one(name)).inc()
                except ConfigError as error:
                    self._metrics.reloads.labels("refused").inc()
                    faults += error.faults
            if faults:
                for fault in faults:
                    log.error("%s", fault)
                log.error("the previous routers stay in use")
                raise ConfigError(faults)
            return {model.name: model.router.version for model in self._catalogue}

    def _one(self, router: str) -> str:
        """`loaded`, or `unchanged`. ConfigError: refused."""
        models = {name: model for name, model in self._settings.models.items() if model.router == router}
        fresh = assembly.catalogue(self._settings.model_copy(update={"models": models}), self._deployments, self._paces)
        before = {name: self._catalogue.find(name).router.version for name in models}
        if all(model.router.version == before[model.name] for model in fresh):
            return "unchanged"
        self._catalogue.renew(fresh)
        for model in fresh:
            log.warning("model %s: router %s, after %s", model.name, model.router.version, before[model.name])
            for line in model.unpromised:
                log.error("%s", line)
            self._metrics.serves(model.name, model.router.version, before[model.name])
        return "loaded"


@contextmanager
def kept_routers(records: Path) -> Iterator[Callable[[Settings], Settings]]:
    """Gives settings artifacts of their own: copies in a folder beside the records, which goes at the end.

    A worker that starts later, in place of one that died, finds what was found to be good, whatever lies there then.
    """
    records.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{records.name}.routers-", dir=records.parent) as folder:
        rounds = count()
        yield lambda settings: _copied(settings, Path(folder, str(next(rounds))))


def _copied(settings: Settings, folder: Path) -> Settings:
    copies: dict[str, str] = {}
    for number, name in enumerate(sorted({model.router for model in settings.models.values()} - {*ROUTERS})):
        source = Path(name)
        if not all((source / file).is_file() for file in FILES):
            continue  # it ships, or will be refused
        copy = folder / str(number) / source.resolve().name
        copy.mkdir(parents=True)
        for file in FILES:
            shutil.copyfile(source / file, copy / file)
        copies[name] = str(copy)
    models = {
        name: model.model_copy(update={"router": copies.get(model.router, model.router)})
        for name, model in settings.models.items()
    }
    return settings.model_copy(update={"models": models})
