"""A router that the gateway does not ship: named in a configuration, asked for every request, shown by `check`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gateway.commands.check import explain
from gateway.config.settings import load, parse
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.contract import Contract, Guarantee
from gateway.core.efforts import Effort
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.probe import Probe, ProbeUse
from gateway.routing.effort_router.protocol import PreparedArm
from gateway.routing.effort_router.registry import make_router, register, unregister
from tests.gateway.conftest import Start
from tests.gateway.scripted import ScriptedBackend
from tests.gateway.test_effort_router import keeps_the_router_contract


@dataclass(frozen=True)
class SumArm:
    """Sums need a thought, and nothing else does."""

    version: str
    arm: Arm
    is_known: ClassVar[bool] = True
    supports_probes: ClassVar[bool] = False

    def forecast(self, call: Call) -> Forecast | None:
        helps = "+" in call.body["messages"][-1]["content"]
        rows = [EffortForecast(one, 0.9 if one.think or not helps else 0.1, 0.0, 9.0, 0.1) for one in self.arm.efforts]
        return Forecast(self.version, tuple(rows))

    def update(self, forecast: Forecast, probe: Probe) -> Forecast:
        return forecast

    def guarantee(self, contract: Contract, efforts: Sequence[Effort]) -> Guarantee:
        return Guarantee(None, None, why="it has no trial")


class SumRouter:
    version = "sums-1"

    def prepare(self, arm: Arm, ask: ProbeUse) -> PreparedArm:
        return SumArm(self.version, arm)

    def observed_efforts(self, arm: Arm) -> tuple[Effort, ...]:
        return ()

    def describe(self, unknown: Collection[str]) -> str:
        return f"{self.version}, which looks for sums."


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register("sums", lambda paces: SumRouter())
    yield
    unregister("sums")


def table(url: str = "http://127.0.0.1:9", **policy: Any) -> dict[str, Any]:
    return {
        "deployments": {"dep": {"url": url, "model": "tiny", "family": "qwen3", "verify": False}},
        "models": {"pub": {"deployment": "dep", "router": "sums", "policy": policy or {"kind": "dial"}}},
    }


def test_its_forecasts_decide(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(table(backend.url))
    answers = [
        gateway.post({"model": "pub", "messages": [{"role": "user", "content": text}]}) for text in ("Hi.", "5 + 8")
    ]
    assert [answer.headers["x-thinkgate-effort"] for answer in answers] == ["none", "low"]
    assert {answer.headers["x-thinkgate-router"] for answer in answers} == {"sums-1"}


def test_check_asks_it_what_it_is_and_what_it_promises(tmp_path: Path) -> None:
    said = "\n".join(
        explain(parse({**table(kind="contract", if_impossible="full_effort"), "records": {"path": tmp_path / "r.db"}}))
    )
    assert "Router: sums-1, which looks for sums." in said
    assert "NO GUARANTEE for arm merged: it has no trial. Every request gets full effort." in said


def test_it_keeps_the_contract_of_all_routers() -> None:
    keeps_the_router_contract(SumRouter())


def test_its_name_is_no_path(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[deployments.dep]\nurl = "http://127.0.0.1:9"\nfamily = "qwen3"\n'
        '[models.pub]\ndeployment = "dep"\nrouter = "sums"\npolicy = {kind = "dial"}\n'
    )
    assert load(config).models["pub"].router == "sums"
    assert make_router("sums", {}).version == "sums-1"
    with pytest.raises(ValueError, match="a router 'none' is registered already"):
        register("none", lambda paces: SumRouter())
