"""Which learned version serves, changed by hand: for the command line and for the operators' port."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.core.errors import ConfigError, suggestion
from gateway.core.router_version import VersionsOfModel
from gateway.storage.router_versions import RouterVersions

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class VersionControl:
    """`configured` is the version of the router that each model has by its configuration, where it has one."""

    store: RouterVersions
    configured: Mapping[str, str]

    def described(self) -> list[Json]:
        """ConfigError: the versions cannot be read."""
        return [_described(name, found) for name, found in self._known().items()]

    def promote(self, model: str | None, version: str | None, now: float, who: str) -> Json:
        """ConfigError: there is no such model or version, or it is not known which is meant."""

        def serve(found: VersionsOfModel) -> VersionsOfModel:
            candidate = found.candidate
            chosen = version or (candidate.version if candidate is not None else None)
            if chosen is None:
                raise ConfigError(["no version is being tried: name one with --version"])
            if found.find(chosen) is None:
                known = [one.version for one in found.versions]
                raise ConfigError([f"--version: there is no {chosen!r}.{suggestion(chosen, known)}"])
            return found.serve(chosen, now, f"promoted {who}")

        return self._changed(model, serve)

    def rollback(self, model: str | None, now: float, who: str) -> Json:
        """ConfigError: there is no such model, or nothing to take back."""

        def back(found: VersionsOfModel) -> VersionsOfModel:
            gone, before = found.candidate or found.serving, found.before()
            if gone is None:
                raise ConfigError([f"the configured router {found.configured} serves: there is nothing to roll back"])
            served = gone.state == "serving"
            found = found.retire(gone.version, now, f"rolled back {who}")
            if served and before is not None:
                return found.serve(before.version, now, f"{gone.version} was rolled back {who}")
            return found

        return self._changed(model, back)

    def _changed(self, model: str | None, by: Callable[[VersionsOfModel], VersionsOfModel]) -> Json:
        name = self._name(model)

        def change(found: VersionsOfModel | None) -> VersionsOfModel:
            return by(self._known()[name] if found is None else found)

        return _described(name, self.store.change(name, change))

    def _known(self) -> dict[str, VersionsOfModel]:
        """Of models that are configured with the router that their versions were learned from."""
        return {
            name: found for name, found in self.store.read().items() if self.configured.get(name) == found.configured
        }

    def _name(self, model: str | None) -> str:
        known = self._known()
        if model is None and len(known) == 1:
            return next(iter(known))
        if not known:
            raise ConfigError(["nothing was learned yet: `thinkgate learn` makes versions from recorded traffic"])
        if model is None:
            raise ConfigError([f"name one of {', '.join(known)} with --model"])
        if model not in known:
            raise ConfigError([f"--model: {model!r} has no learned versions.{suggestion(model, known)}"])
        return model


def _described(name: str, found: VersionsOfModel) -> Json:
    serving = found.serving
    return {
        "model": name,
        "configured": found.configured,
        "serving": found.configured if serving is None else serving.version,
        "drift": found.drift,
        "versions": [asdict(one) for one in found.versions],
    }
