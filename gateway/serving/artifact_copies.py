"""Copies of router artifacts for the workers of a gateway, so that a worker that starts later finds them unchanged."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.config.experiment import ExperimentArmSettings
from gateway.config.settings import Settings
from gateway.routing.effort_router.registry import ROUTERS

FILES = ("artifact.json", "weights.npz")


@contextmanager
def kept_routers(records: Path) -> Iterator[Callable[[Settings], Settings]]:
    """Gives settings artifacts of their own: copies in a folder beside the records, which goes at the end.

    A worker that replaces one that died loads the artifact that was checked, whatever lies at its path by then.
    """
    records.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{records.name}.routers-", dir=records.parent) as folder:
        rounds = count()
        yield lambda settings: _copied(settings, Path(folder, str(next(rounds))))


def _copied(settings: Settings, folder: Path) -> Settings:
    copies: dict[str, str] = {}
    for number, name in enumerate(_artifacts(settings)):
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
    experiments = {
        name: given.model_copy(update={"arms": {arm: _renamed(one, copies) for arm, one in given.arms.items()}})
        for name, given in settings.experiments.items()
    }
    return settings.model_copy(update={"models": models, "experiments": experiments})


def _renamed(arm: ExperimentArmSettings, copies: Mapping[str, str]) -> ExperimentArmSettings:
    return arm if arm.router is None else arm.model_copy(update={"router": copies.get(arm.router, arm.router)})


def _artifacts(settings: Settings) -> list[str]:
    """What models and arms name as their router and is read from a file."""
    return sorted(set[str]().union(*map(settings.routers_of, settings.models)) - {*ROUTERS})
