"""Each request of an experiment keeps what the default arm was forecast to bring for it, whatever arm it has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.commands.check import explain
from gateway.config.settings import parse
from gateway.core.efforts import NO_THINKING, UNLIMITED, from_budget
from gateway.core.errors import ConfigError
from gateway.core.forecast import EffortForecast, Forecast
from gateway.routing.decider import nearest
from tests.gateway.conftest import Start, table
from tests.gateway.scripted import ScriptedBackend

ARMS: dict[str, Any] = {
    "merged": {"deployment": "hybrid"},
    "split": {"none": "instruct", "think": "thinking"},
    "hasty": {"policy": {"kind": "fixed", "effort": "none"}, "deployment": "hybrid"},
}


def settings(url: str, model: str = "merged", **changes: Any) -> dict[str, Any]:
    return {**table(url), "experiments": {"modes": {"model": model, "arms": ARMS, **changes}}}


def test_it_depends_on_the_request_and_not_on_the_arm(backend: ScriptedBackend, start: Start) -> None:
    """The same text from many users: different arms, one forecast of the default arm."""
    gateway = start(settings(backend.url))
    for number in range(24):
        messages = [{"role": "user", "content": "what is two and two?"}]
        gateway.post({"model": "merged", "messages": messages, "user": f"u{number}"})
    rows = gateway.records()
    assert {row["arm"] for row in rows} == {*ARMS}
    found = [json.loads(row["baseline"]) for row in rows]
    ((p, thinking, answer),) = {tuple(one[:3]) for one in found}
    assert 0 <= p <= 1 and thinking >= 0 and answer > 0
    assert all(one[3] > 0 for one in found), "seconds follow what backends do now"
    hasty = [row for row in rows if row["arm"] == "hasty"]
    assert not any(row["forecast"] for row in hasty), "the arm's own policy needs none"


def test_nothing_is_forecast_where_nobody_wants_it(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(settings(backend.url, adjust=False))
    for number in range(6):
        messages = [{"role": "user", "content": "hi"}]
        gateway.post({"model": "merged", "messages": messages, "user": f"u{number}"})
        gateway.post({"model": "bounded", "messages": messages, "user": f"u{number}"})
    assert {row["baseline"] for row in gateway.records()} == {None}


def test_a_default_arm_without_a_router_cannot_be_adjusted_for() -> None:
    with pytest.raises(ConfigError) as caught:
        list(explain(parse(settings("http://127.0.0.1:9", "unrouted", adjust=True))))
    assert caught.value.faults == [
        "experiments.modes.adjust: the default arm has no router, and so no forecasts: set one, or leave this out"
    ]
    explain(parse(settings("http://127.0.0.1:9", "unrouted")))


def test_the_forecast_is_that_of_the_nearest_effort() -> None:
    efforts = [EffortForecast(effort, 0.5, 1, 1, 1) for effort in (NO_THINKING, from_budget(64), from_budget(256))]
    forecast = Forecast("r", tuple(efforts))
    for effort, budget in ((NO_THINKING, 0), (from_budget(100), 64), (from_budget(200), 256), (UNLIMITED, 256)):
        assert nearest(forecast, effort).effort.budget == budget
    endless = Forecast("r", (*efforts, EffortForecast(UNLIMITED, 0.5, 1, 1, 1)))
    assert nearest(endless, UNLIMITED).effort == UNLIMITED and nearest(endless, from_budget(300)).effort.budget == 256
