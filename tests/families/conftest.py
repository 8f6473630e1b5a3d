"""One recorder for all tests of the families."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.families.record import Recorder, recorder
from tests.left_behind import nothing_is_left_behind  # noqa: F401


@pytest.fixture(scope="session")
def record() -> Iterator[Recorder]:
    with recorder() as running:
        yield running
