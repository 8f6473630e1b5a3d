"""The configuration of a running gateway, read again with its router artifacts: all of it is served anew, or nothing.

A running request keeps its model, router and prices to its end.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from gateway.app import Parts, changed_parts
from gateway.assembly import announce
from gateway.auth.api_key_format import digest
from gateway.config.secret_values import signing_secrets
from gateway.config.settings import Settings
from gateway.core.errors import ConfigError
from gateway.routing.experiments.running import Experiments
from gateway.serving.admin import admin_key
from gateway.serving.live_application import LiveApplication

log = logging.getLogger("thinkgate")
# What the process holds as long as it lives: its ports, its files and its secrets.
FIXED = ("data_dir", "server", "records", "admin", "responses", "signing")


class ConfigReload:
    """That of a gateway in one process. Any thread may ask for a reload."""

    def __init__(self, load: Callable[[], Settings], parts: Parts, live: LiveApplication) -> None:
        self._load = load
        self._parts = parts
        self._live = live
        self._secrets = FixedSecrets(parts.settings)
        self._lock = threading.Lock()

    def reload(self) -> dict[str, str]:
        """The router version that each model is served with from now on. ConfigError: refused, and nothing changed."""
        with self._lock:
            reloads = self._parts.metrics.reloads
            try:
                changed = self._changed()
            except ConfigError as error:
                reloads.labels("refused").inc()
                for fault in error.faults:
                    log.error("%s", fault)
                log.error("the previous configuration and routers stay in use")
                raise
            reloads.labels("unchanged" if changed is None else "loaded").inc()
            if changed is None:
                log.warning("configuration %s: nothing in it has changed", self._parts.version)
            else:
                self._live.replace(changed)
                before, self._parts = self._parts, changed
                announce(changed.metrics, changed.version, changed.catalogue, before.version, before.catalogue)
                if changed.version != before.version:
                    log.warning("configuration %s, after %s", changed.version, before.version)
                elif changed.deployments != before.deployments:
                    log.warning("configuration %s: secrets of deployments were read anew", changed.version)
            return routers_of(self._parts)

    @property
    def experiments(self) -> Experiments:
        """Those of the configuration that is served."""
        return self._parts.experiments

    def _changed(self) -> Parts | None:
        """None: there is nothing new. ConfigError: what is new cannot be served, or not without a restart."""
        settings, before = self._load(), self._parts
        refuse_restart(before.settings, settings, FIXED)
        self._secrets.check(settings)
        parts = changed_parts(settings, before)
        same = parts.version == before.version and parts.deployments == before.deployments
        return None if same and _of_arms(parts) == _of_arms(before) else parts


class FixedSecrets:
    """What a running gateway cannot exchange: the operators' key and, with `signing`, what signs thoughts."""

    def __init__(self, settings: Settings, signing: bool = True) -> None:
        self._signing = signing
        self._held = _digests(settings, signing)

    def check(self, settings: Settings) -> None:
        """ConfigError: one is another now, or cannot be read."""
        faults = [
            name for name, found in _digests(settings, self._signing).items() if self._held.get(name, found) != found
        ]
        if faults:
            raise ConfigError([f"{', '.join(faults)}: the secret cannot change while the gateway runs: restart it"])


def _digests(settings: Settings, signing: bool) -> dict[str, bytes]:
    secrets = {"signing.key": "\n".join(signing_secrets(settings.signing))} if signing else {}
    if settings.admin is not None:
        secrets["admin.key"] = admin_key(settings.admin)
    return {name: digest(found) for name, found in secrets.items()}


def routers_of(parts: Parts) -> dict[str, str]:
    """The version of each model's router."""
    return {model.name: model.router.version for model in parts.catalogue}


def _of_arms(parts: Parts) -> list[dict[str, str]]:
    """The version of the router of each arm of each model."""
    return [model.versions for model in parts.catalogue]


def refuse_restart(settings: Settings, changed: Settings, fixed: tuple[str, ...]) -> None:
    """ConfigError: a change that only a new start can make: of one of the `fixed` tables, or of where keys are kept."""
    faults = [name for name in fixed if getattr(changed, name) != getattr(settings, name)]
    if changed.access.path != settings.access.path:
        faults.append("access.path")
    if faults:
        raise ConfigError([f"{', '.join(faults)}: cannot change while the gateway runs: restart it"])
