"""What all tests share: the embedded engine as a process, started once."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from gateway.commands.engine_process import EngineProcess


def pytest_collection_finish() -> None:
    """What was imported and collected stays until the end: no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """The base URL of a running engine, without a slash at its end."""
    with EngineProcess() as process:
        yield process.url()
