"""Both engines, started once: the embedded one from the product, and a real vLLM that serves the same weights.

vLLM needs half a minute to start, so it starts as soon as pytest knows that a test needs it, and those tests run last.
THINKGATE_TEST_VLLM names the URL of a vLLM that is running already, serving the same model in the same way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.contract.backend import MODEL, Backend
from tests.contract.vllm_server import VllmServer
from tests.vllm_env import ROOT, is_ready, why_not_here

WEIGHTS = ROOT / "gateway" / "embedded" / "weights"
RUNNING = os.environ.get("THINKGATE_TEST_VLLM")
SERVER = pytest.StashKey[VllmServer]()


def _needs_vllm(item: pytest.Item) -> bool:
    chosen = item.callspec.params.get("backend") if hasattr(item, "callspec") else None
    return chosen == "vllm" or "vllm_backend" in getattr(item, "fixturenames", ())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_needs_vllm)


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any(map(_needs_vllm, session.items)) and not session.config.option.collectonly
    if wanted and not RUNNING and not why_not_here() and is_ready():
        _start(session.config)


def _start(config: pytest.Config) -> VllmServer:
    log = Path(mkdtemp(prefix="thinkgate-vllm-")) / "vllm.log"
    server = VllmServer(WEIGHTS / MODEL, MODEL, log)
    config.add_cleanup(server.stop)
    server.start()
    config.stash[SERVER] = server
    return server


@pytest.fixture(scope="session")
def embedded_backend(engine: str) -> Iterator[Backend]:
    backend = Backend("embedded", engine)
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def vllm_backend(pytestconfig: pytest.Config) -> Iterator[Backend]:
    reason = why_not_here()
    if RUNNING is None and reason:
        pytest.skip(reason)
    backend = Backend("vllm", RUNNING or _ready_url(pytestconfig))
    yield backend
    backend.close()


def _ready_url(config: pytest.Config) -> str:
    server = config.stash.get(SERVER, None) or _start(config)
    server.wait()
    return server.url


@pytest.fixture(scope="session", params=["embedded", "vllm"])
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen: Backend = request.getfixturevalue(f"{request.param}_backend")
    return chosen


@dataclass(frozen=True)
class Both:
    embedded: Backend
    vllm: Backend


@pytest.fixture(scope="session")
def both(embedded_backend: Backend, vllm_backend: Backend) -> Both:
    return Both(embedded_backend, vllm_backend)
