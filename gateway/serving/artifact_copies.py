"""Copies of router artifacts for the workers of a gateway, so that a worker that starts later finds them unchanged."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

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
