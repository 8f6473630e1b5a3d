"""Says in metrics and log what is served from now on."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from gateway.observability.metrics import Metrics
from gateway.routing.catalogue import PublicModel

log = logging.getLogger("thinkgate")


def announce(
    metrics: Metrics,
    version: str,
    models: Iterable[PublicModel],
    old_version: str | None = None,
    old_models: Iterable[PublicModel] = (),
) -> None:
    """`version` names the configuration; the old ones are what was served before."""
    metrics.serves_configuration(version, old_version)
    models = [*models]
    old = {model.name: model.router.version for model in old_models}
    new = {model.name: model.router.version for model in models}
    for name in old.keys() - new.keys():
        metrics.serves(name, None, old[name])
    for model in models:
        metrics.serves(model.name, new[model.name], old.get(model.name))
        if model.name in old and old[model.name] != new[model.name]:
            log.warning("model %s: router %s, after %s", model.name, new[model.name], old[model.name])
        for line in model.unpromised:
            log.error("%s", line)
