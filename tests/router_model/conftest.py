"""One small router, trained once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_model.training import train
from router_model.training.boosting import Boosting
from router_model.training.settings import Settings
from tests.left_behind import nothing_is_left_behind  # noqa: F401
from tests.router_model import tables

SMALL = Settings(boosting=Boosting(rounds=40, rate=0.2), directions=4, folds=3)


@pytest.fixture(scope="session")
def table_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = tables.rows(models=("m",), wordings=range(4))
    return tables.write(rows, tmp_path_factory.mktemp("outcomes") / "train.parquet")


@pytest.fixture(scope="session")
def artifact_path(table_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("artifact") / "sums"
    train.run([table_path], out, settings=SMALL, say=lambda line: None)
    return out
