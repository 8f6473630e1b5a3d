"""Fixtures with gateways in front of a scripted backend, for behaviour that a real model does not show on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway.serving.engine_process import EngineProcess
from tests.gateway.running import RunningGateway, ServedGateway
from tests.gateway.scripted import MODEL, ScriptedBackend

Start = Callable[[dict[str, Any]], RunningGateway]


@pytest.fixture(scope="session")
def limitless() -> Iterator[Callable[[str], str]]:
    """The URL of an engine whose budgets are `ignored` or `refused`. Each starts once."""
    with ExitStack() as stack:
        yield cache(lambda budgets: stack.enter_context(EngineProcess(budgets=budgets)).url())


@pytest.fixture
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as running:
        yield running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway from a settings table, and stops it after the test."""
    with ExitStack() as stack:
        yield lambda table: stack.enter_context(RunningGateway(table, tmp_path))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Start]:
    """The same, listening on a port."""
    with ExitStack() as stack:
        yield lambda table: stack.enter_context(ServedGateway(table, tmp_path))


@pytest.fixture
def served_gateway(backend: ScriptedBackend, serve: Start) -> RunningGateway:
    return serve(table(backend.url))


@pytest.fixture
def scripted_gateway(backend: ScriptedBackend, start: Start) -> RunningGateway:
    return start(table(backend.url))


def table(url: str) -> dict[str, Any]:
    """Models in front of one backend: a merged one for each policy, a split pair, and a pass-through one."""

    def deployment(family: str, model: str = MODEL) -> dict[str, Any]:
        return {"url": url, "model": model, "family": family, "verify": False}

    dial = {"kind": "dial", "budgets": [16, 64, 256], "default_effort": "low"}
    levels = {"low": 32, "medium": 64, "high": 128}
    return {
        "deployments": {
            "hybrid": deployment("qwen3"),
            "instruct": deployment("qwen3-2507", "an-instruct-model"),
            "thinking": deployment("qwen3-2507", "a-thinking-model"),
            "other": deployment("plain"),
        },
        "models": {
            "merged": {"deployment": "hybrid", "router": "constant", "policy": dial, "levels": levels},
            "split": {
                "none": "instruct",
                "think": "thinking",
                "router": "constant",
                "policy": dial,
                "levels": levels,
            },
            "unrouted": {"deployment": "hybrid", "policy": {**dial, "kind": "client"}, "levels": levels},
            "bounded": {
                "deployment": "hybrid",
                "policy": {"kind": "client", "floor": "low", "ceiling": "high", "default_effort": "medium"},
                "levels": levels,
            },
            "fixed": {"deployment": "hybrid", "policy": {"kind": "fixed", "effort": 100}},
            "plain": {"deployment": "other"},
        },
    }


@pytest.fixture
def config(backend: ScriptedBackend, tmp_path: Path) -> Path:
    """A configuration file with the model `pub` in front of the scripted backend."""
    path = tmp_path / "thinkgate.toml"
    path.write_text(
        f'deployments.dep = {{ url = "{backend.url}", model = "{MODEL}", family = "qwen3", verify = false }}\n'
        'models.pub = { deployment = "dep", policy = { kind = "client", default_effort = "low" } }\n',
        "utf-8",
    )
    return path
