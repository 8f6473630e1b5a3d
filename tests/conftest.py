"""What all tests share: the embedded engine as a process, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.commands.engine_process import EngineProcess


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """The base URL of a running engine, without a slash at its end."""
    with EngineProcess() as process:
        yield process.url()
