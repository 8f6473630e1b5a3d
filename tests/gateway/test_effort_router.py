"""Routers: what they forecast, and what happens when they fail or are late."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from gateway.app import make_parts
from gateway.backends.latency import LatencyModel
from gateway.config.settings import parse
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.contract import Contract
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.core.forecast import Forecast
from gateway.core.probe import Probe, ProbeUse
from gateway.families.table import family
from gateway.routing.catalogue import Catalogue
from gateway.routing.effort_router.constant import ConstantRouter
from gateway.routing.effort_router.forecasting import INLINE_BYTES, ask
from gateway.routing.effort_router.learned import PredictorRouter
from gateway.routing.effort_router.none import NoRouter, UnknownArm
from gateway.routing.effort_router.protocol import EffortRouter, PreparedArm
from gateway.routing.effort_router.registry import ROUTERS, make_router
from router_model.model.predict import Head, Scores, Surface
from tests.gateway.conftest import table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend
from tests.patience import PATIENCE_S

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "hi"}]}
DEPLOYMENT = Deployment("d", ("http://x/v1",), "m", family("qwen3"), router_name="m")
EFFORTS = (NO_THINKING, Effort(True, 16), Effort(True, 32), Effort(True, 64), UNLIMITED)
ARM = Arm.of("merged", DEPLOYMENT, DEPLOYMENT, EFFORTS)
CALL = Call("id", "chat", "m", {"messages": [{"role": "user", "content": "hi"}]})
PACES = {"d": LatencyModel(ttft_s=1.0, tpot_s=0.1)}


class Predictor:
    """Knows the efforts none, 16, 64 and unlimited of each model; P(correct) and tokens are easy to check by hand."""

    version = "by-hand-1"
    probes_known = frozenset[int]()

    def __init__(self, *models: str) -> None:
        budgets = [(False, None), (True, 16), (True, 64), (True, None)]
        self.heads = tuple(Head(m, think, b) for m in models for think, b in budgets)
        self._models = models

    def restricted(self, models: Collection[str]) -> Predictor:
        assert set(models) <= set(self._models)
        return Predictor(*models)

    def read(self, messages: Any, tools: Any = None) -> str:
        return str(messages)

    def kept(self, reading: str) -> None:
        return None

    def is_ood(self, reading: str) -> bool:
        return "strange" in reading

    def scores(self, reading: str, probe: Any = None, probed: int | None = None) -> Scores:
        n = len(self._models)
        return Scores([0.4, 0.6, 0.8, 0.9] * n, [0.0, 16.0, 40.0, 100.0] * n, [10.0] * 4 * n)

    def surface(self, efforts: Any) -> Surface:
        return Surface(self.heads, [Head(*effort) for effort in efforts])

    def at(self, surface: Surface, scores: Scores, reading: str) -> Scores:
        return surface(scores, [[-0.1, 0.0, 0.1]] * len(self.heads))

    def price_for_dial(self, x: float, ask: ProbeUse = "auto") -> float:
        return 0.01 * (1 - x)


def test_a_learned_router_scores_the_efforts_on_offer() -> None:
    router = PredictorRouter(Predictor("other", "m"), PACES).prepare(ARM, "auto")
    assert router.is_known
    forecast = router.forecast(CALL)
    assert forecast is not None and forecast.router == "by-hand-1"
    assert [f.effort for f in forecast.efforts] == list(EFFORTS)
    # Thoughts are of 100 tokens, so budgets of 16, 32 and 64 are all spent, and none of them covers any.
    assert [f.p_correct for f in forecast.efforts] == pytest.approx([0.4, 0.6, 0.7, 0.8, 0.9])
    assert [f.thinking_tokens for f in forecast.efforts] == pytest.approx([0, 16, 24, 40, 100])
    assert [f.seconds for f in forecast.efforts] == pytest.approx([2.0, 3.6, 4.4, 6.0, 12.0])
    assert forecast.price_at(0.5, "auto") == 0.005


def test_a_model_that_the_artifact_does_not_know_is_scored_as_any_model() -> None:
    general = PredictorRouter(Predictor("*"), PACES).prepare(ARM, "auto")
    assert general.is_known and general.forecast(CALL) is not None
    particular = PredictorRouter(Predictor("other"), PACES).prepare(ARM, "auto")
    assert not particular.is_known and particular.forecast(CALL) is None


async def test_a_long_prompt_is_scored_off_the_event_loop() -> None:
    router = PredictorRouter(Predictor("m"), PACES).prepare(ARM, "auto")
    assert await ask(router, replace(CALL, size=1_000_000), 60.0) == await ask(router, CALL, 60.0)


def test_the_constant_router_says_the_same_of_every_prompt() -> None:
    router = ConstantRouter(PACES).prepare(ARM, "auto")
    forecast = router.forecast(CALL)
    assert forecast == router.forecast(replace(CALL, body={"messages": []}))
    assert forecast is not None
    assert all(math.isfinite(f.seconds) and 0 <= f.p_correct <= 1 for f in forecast.efforts)


def keeps_the_router_contract(router: EffortRouter) -> None:
    """Made ready once per arm, in any order; forecasts are of the arm's efforts, in order, and the same each time."""
    assert router.version and router.describe([]).endswith(".") and router.describe(["m"])
    assert {*router.observed_efforts(ARM)} <= {*EFFORTS}
    weak = Arm.of("weak", DEPLOYMENT, None, (NO_THINKING,))
    uses: tuple[ProbeUse, ...] = ("auto", "always", "never")
    for arm, use in product((ARM, weak), uses):
        prepared = router.prepare(arm, use)
        assert prepared.version == router.version
        first, again = prepared.forecast(CALL), prepared.forecast(CALL)
        assert (first is None) == (not prepared.is_known) and first == again
        for forecast in [] if first is None else [first, prepared.update(first, Probe([-0.1, -0.2], 0.5))]:
            found = [one.effort for one in forecast.efforts]
            assert found == [effort for effort in arm.efforts if effort in found] and found
            assert all(0 <= one.p_correct <= 1 and math.isfinite(one.seconds) for one in forecast.efforts)
            prices = [forecast.price_at(dial / 4, use) for dial in range(5)]
            assert prices == sorted(prices, reverse=True) and prices[-1] == 0
        promised = prepared.guarantee(Contract(0.05, 0.9), arm.efforts)
        assert promised == prepared.guarantee(Contract(0.05, 0.9), arm.efforts)
        assert promised.kept or promised.why


@pytest.mark.parametrize("name", [*ROUTERS, "tiny", "prior"])
def test_every_router_keeps_the_contract(name: str) -> None:
    keeps_the_router_contract(make_router(name, PACES))


class FailingRouter(NoRouter):
    """Fails on every request, at once or, if it is to be late, once `answered` is set."""

    def __init__(self, version: str, late: bool) -> None:
        self.version = version
        self.answered = threading.Event()
        if not late:
            self.answered.set()

    def prepare(self, arm: Arm, ask: ProbeUse) -> PreparedArm:
        return FailingArm(self.version, self.answered)


@dataclass(frozen=True)
class FailingArm(UnknownArm):
    answered: threading.Event

    def forecast(self, call: Call) -> Forecast | None:
        self.answered.wait(PATIENCE_S)
        raise RuntimeError("no luck today")


@pytest.mark.parametrize(
    "router", [FailingRouter("failing", False), FailingRouter("late", True)], ids=lambda router: router.version
)
def test_a_router_that_fails_or_is_late_is_no_error(
    backend: ScriptedBackend, tmp_path: Path, router: FailingRouter
) -> None:
    parts = make_parts(parse({**table(backend.url), "records": {"path": tmp_path / "records.db"}}))
    model = parts.catalogue.find("merged").with_router(router)
    parts = replace(parts, catalogue=Catalogue({"merged": model}))
    with RunningGateway.of(parts) as gateway:
        answer = gateway.post({**ASK, "user": "long " * INLINE_BYTES})
        router.answered.set()
        rows = gateway.records()
    assert answer.status_code == 200
    assert answer.headers["x-thinkgate-reason"] == "fallback"
    assert answer.headers["x-thinkgate-router"] == router.version
    assert backend.last["thinking_token_budget"] == 32
    assert (rows[0]["reason"], rows[0]["forecast"], rows[0]["status"]) == ("fallback", None, 200)


def test_paces_follow_what_is_measured(backend: ScriptedBackend, tmp_path: Path) -> None:
    settings = table(backend.url)
    settings["deployments"]["hybrid"] |= {"ttft_s": 100.0, "tpot_s": 100.0}
    with RunningGateway(settings, tmp_path) as gateway:
        pace = gateway.parts.latencies["hybrid"]
        gateway.post({**ASK, "stream": True})
        gateway.stop()
    # A tenth of the way from what was assumed to next to nothing.
    assert 90 <= pace.ttft_s < 99 and 90 <= pace.tpot_s < 99
    assert gateway.parts.dispatch.admission["hybrid"].in_flight == 0
