"""Both engines, started once: the embedded one from the product, and a real vLLM for each model that tests need of it.

vLLM needs half a minute of processor time to start, and some of a processor for as long as it waits: the tests that
need it run last, and it starts a while before them. `make test` asks the merged model of it alone; what needs the split
pair or all three models on it is long.
THINKGATE_TEST_VLLM names vLLMs that are running already and serve the same weights, as `tiny=http://...` with spaces
between them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.contract.backend import INSTRUCT_MODEL, MODEL, THINKING_MODEL, Backend
from tests.contract.trio import Trio
from tests.contract.vllm_server import VllmServer
from tests.gateway.running import RunningGateway
from tests.left_behind import nothing_is_left_behind  # noqa: F401
from tests.vllm_env import ROOT, is_ready, why_not_here

WEIGHTS = ROOT / "gateway" / "embedded" / "weights"
RUNNING = dict(pair.split("=", 1) for pair in os.environ.get("THINKGATE_TEST_VLLM", "").split())
# The fixtures that ask for each model: one of its two backends by parameter, and its vLLM by name.
FIXTURES = {
    MODEL: ("backend", "vllm_backend"),
    THINKING_MODEL: ("thinking_backend", "vllm_thinking_backend"),
    INSTRUCT_MODEL: ("", "vllm_instruct_backend"),
}
# All three at once.
TRIO = "trio"
SERVERS = pytest.StashKey[dict[str, VllmServer]]()
# So many tests before the first that needs it: of the whole suite's, these take as long as vLLM does to start.
TESTS_AHEAD = 400


def _needs_vllm(item: pytest.Item, model: str) -> bool:
    """Whether a test asks for the fixture of a served model: by name, or as one of its two backends."""
    chosen, own = FIXTURES[model]
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return "vllm" in (parameters.get(chosen), parameters.get(TRIO)) or own in getattr(item, "fixturenames", ())


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    if any(_needs_vllm(item, model) for model in FIXTURES if model != MODEL):
        item.add_marker(pytest.mark.long)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: any(_needs_vllm(item, model) for model in FIXTURES))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start in the background what will be needed; where the environment is yet to be made, the fixture does that."""
    if session.config.option.collectonly or why_not_here() or not is_ready():
        return
    needed = {
        model: next((number for number, item in enumerate(session.items) if _needs_vllm(item, model)), None)
        for model in FIXTURES
        if model not in RUNNING
    }
    firsts = {model: number for model, number in needed.items() if number is not None}
    if firsts:
        session.config.pluginmanager.register(_InTime(session.config, min(firsts.values()) - TESTS_AHEAD, firsts))


@dataclass(eq=False)
class _InTime:
    """Starts the servers of `models` when only so many tests are left to run before that."""

    config: pytest.Config
    left: int
    models: Iterable[str]

    def pytest_runtest_logstart(self) -> None:
        """Of every test: what a conftest.py defines for tests is asked for those of its own folder only."""
        if self.left <= 0:
            for model in self.models:
                _server(self.config, model)
            self.models = ()
        self.left -= 1


def _server(config: pytest.Config, model: str) -> VllmServer:
    servers = config.stash.setdefault(SERVERS, {})
    if model not in servers:
        log = Path(mkdtemp(prefix="thinkgate-vllm-")) / "vllm.log"
        server = VllmServer(WEIGHTS / model, model, log, thinks=model != INSTRUCT_MODEL)
        config.add_cleanup(server.stop)
        server.start()
        servers[model] = server
    return servers[model]


def _vllm(config: pytest.Config, model: str) -> Iterator[Backend]:
    reason = why_not_here()
    if model not in RUNNING and reason:
        pytest.skip(reason)
    if model not in RUNNING:
        _server(config, model).wait()
    backend = Backend("vllm", RUNNING.get(model) or _server(config, model).url, model)
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def vllm_backend(pytestconfig: pytest.Config) -> Iterator[Backend]:
    yield from _vllm(pytestconfig, MODEL)


@pytest.fixture(scope="session")
def vllm_thinking_backend(pytestconfig: pytest.Config) -> Iterator[Backend]:
    yield from _vllm(pytestconfig, THINKING_MODEL)


@pytest.fixture(scope="session")
def vllm_instruct_backend(pytestconfig: pytest.Config) -> Iterator[Backend]:
    yield from _vllm(pytestconfig, INSTRUCT_MODEL)


@pytest.fixture(scope="session")
def embedded_backend(engine: str) -> Iterator[Backend]:
    backend = Backend("embedded", engine, MODEL)
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def embedded_thinking_backend(engine: str) -> Iterator[Backend]:
    backend = Backend("embedded", engine, THINKING_MODEL)
    yield backend
    backend.close()


@pytest.fixture(scope="session", params=["embedded", "vllm"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """The merged model, on one engine and then on the other."""
    chosen: Backend = request.getfixturevalue(f"{request.param}_backend")
    return chosen


@pytest.fixture(scope="session", params=["embedded", "vllm"])
def thinking_backend(request: pytest.FixtureRequest) -> Backend:
    """The thinking half of the split pair, whose template opens the thought itself."""
    chosen: Backend = request.getfixturevalue(f"{request.param}_thinking_backend")
    return chosen


@dataclass(frozen=True)
class Both:
    embedded: Backend
    vllm: Backend


@pytest.fixture(scope="session")
def both(embedded_backend: Backend, vllm_backend: Backend) -> Both:
    return Both(embedded_backend, vllm_backend)


@pytest.fixture(scope="session", params=["embedded", "vllm"])
def trio(request: pytest.FixtureRequest) -> Trio:
    """All three models, on one engine and then on the other."""
    if request.param == "embedded":
        return Trio("embedded", dict.fromkeys(FIXTURES, request.getfixturevalue("engine")))
    backends: list[Backend] = [request.getfixturevalue(own) for _, own in FIXTURES.values()]
    return Trio("vllm", {backend.model: backend.url for backend in backends})


@pytest.fixture(scope="session")
def gateway(trio: Trio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """The gateway as it comes: `tiny` is the merged model, `tiny-split` the pair."""
    with trio.gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running
