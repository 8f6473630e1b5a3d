"""What all tests share: the embedded engine as a process, started once; and what none may depend on."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from gateway.serving.engine_process import EngineProcess

# Read when numpy and scikit-learn are imported, here and in processes of tests: on tables of hundreds of rows, threads
# take several times as long to wait for each other as one alone takes for all.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")


def pytest_configure() -> None:
    """No example fails for taking long, as it does on a busy machine."""
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    """What was imported and collected stays until the end: no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _what_is_there_stays() -> None:
    """Nor at what earlier tests have left: some tests have all garbage collected again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """The base URL of a running engine, without a slash at its end."""
    with EngineProcess() as process:
        yield process.url()
