"""The folder of learned routers: one folder for each version, and a file that says which of them serve.

Every change is made under a lock and replaces the file as a whole, so that all processes of a host agree.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from gateway.core import private_file
from gateway.core.errors import ConfigError
from gateway.core.router_version import STATES, RouterVersion, VersionsOfModel

log = logging.getLogger("thinkgate")
FILE, LOCK, FORMAT = "versions.json", "versions.lock", 1
# Versions that have been retired stay this many deep, for whoever wants to go back.
RETIRED_KEPT = 5
Change = Callable[[VersionsOfModel | None], VersionsOfModel]


class RouterVersions:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> Mapping[str, VersionsOfModel]:
        """By public model; nothing where nothing was learned. ConfigError: the file is damaged or out of reach."""
        path = self.folder / FILE
        try:
            found = orjson.loads(path.read_bytes())
            return {model: _of_json(given) for model, given in found["models"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError([f"learned routers: {path} cannot be read: {error}"]) from error

    def artifact(self, model: str, version: str) -> Path:
        """The folder of a version's artifact. Of public models, names are quoted: they may have slashes."""
        return self.folder / quote(model, safe="") / version

    def change(self, model: str, by: Change) -> VersionsOfModel:
        """The versions of a model after a change, during which nobody else changes any. ConfigError, OSError."""
        with self._locked():
            all_models = dict(self.read())
            all_models[model] = after = _trimmed(by(all_models.get(model)))
            told = {"format": FORMAT, "models": {name: asdict(one) for name, one in all_models.items()}}
            private_file.replace(self.folder / FILE, orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
            self._remove_others(model, {one.version for one in after.versions})
            return after

    def stamp(self) -> tuple[int, int] | None:
        """Another one after each change; None: nothing was learned."""
        try:
            found = (self.folder / FILE).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    @contextmanager
    def _locked(self) -> Iterator[None]:
        private_file.make_folder(self.folder)
        descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, private_file.FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _remove_others(self, model: str, kept: set[str]) -> None:
        for folder in self.artifact(model, "x").parent.glob("*/"):
            if folder.name not in kept and (folder / "artifact.json").exists():
                shutil.rmtree(folder, ignore_errors=True)


def _trimmed(found: VersionsOfModel) -> VersionsOfModel:
    retired = sorted((one.since, one.version) for one in found.versions if one.state == "retired")
    gone = {version for _, version in retired[:-RETIRED_KEPT]}
    return VersionsOfModel(
        found.configured, tuple(one for one in found.versions if one.version not in gone), found.drift
    )


def _of_json(given: dict[str, Any]) -> VersionsOfModel:
    """ValueError, KeyError, TypeError: it is damaged."""
    versions = tuple(RouterVersion(**one) for one in given["versions"])
    for one in versions:
        if one.state not in STATES or "/" in one.version or one.version.startswith("."):
            raise ValueError(f"version {one.version!r} in state {one.state!r}")
    return VersionsOfModel(str(given["configured"]), versions, dict(given["drift"]))
