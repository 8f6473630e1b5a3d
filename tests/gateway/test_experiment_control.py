"""A running experiment: started, stopped and ramped by operators, and stopped by itself where an arm does harm."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import assembly
from gateway.api.data import Erased
from gateway.assembly.served_versions import version_control
from gateway.config.server import ServerSettings
from gateway.observability.metrics import Metrics
from gateway.serving.admin import create_admin_app, running
from tests import plain_http
from tests.gateway.conftest import Start, table
from tests.gateway.experimenting import ask, score
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend
from tests.patience import until

KEY = "an operators' key of some length"
ARMS: dict[str, Any] = {"merged": {"deployment": "hybrid"}, "split": {"none": "instruct", "think": "thinking"}}
UNITS = [f"u{number}" for number in range(60)]


def settings(url: str, **changes: Any) -> dict[str, Any]:
    return {**table(url), "experiments": {"modes": {"model": "unrouted", "arms": ARMS, **changes}}}


@contextmanager
def operator(gateway: RunningGateway, folder: Path) -> Iterator[httpx.Client]:
    keys = assembly.keys(gateway.parts.settings.access.model_copy(update={"path": folder / "keys.db"}))
    erase, experiments = (lambda whose, anonymise: Erased(0, 0)), (lambda: gateway.parts.experiments)
    app = create_admin_app(
        keys, Metrics(), KEY, dict, erase, experiments, lambda: version_control(gateway.parts.settings)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener, running(app, ServerSettings(), listener):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with plain_http.client(base_url=url, headers={"authorization": f"Bearer {KEY}"}) as client:
            yield client


def test_operators_start_stop_and_ramp_for_all_workers_and_restarts(
    backend: ScriptedBackend, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    first, second = start(settings(backend.url)), start(settings(backend.url))  # two workers share one folder
    before = ask(first, "unrouted", UNITS)
    assert ask(second, "unrouted", UNITS) == before and {*before.values()} == {"merged", "split"}
    with operator(first, tmp_path) as admin:
        (listed,) = admin.get("/experiments").json()["data"]
        assert (listed["name"], listed["running"], [arm["share"] for arm in listed["arms"]]) == (
            "modes",
            True,
            [0.5] * 2,
        )
        ramped = admin.post("/experiments/modes/weights", json={"weights": {"split": 4}}).json()
        assert [arm["share"] for arm in ramped["arms"]] == [0.2, 0.8]
        until(lambda: ask(second, "unrouted", UNITS) != before)
        after = ask(second, "unrouted", UNITS)
        assert {(before[u], after[u]) for u in UNITS if before[u] != after[u]} == {("merged", "split")}
        assert admin.post("/experiments/modes/stop").json()["running"] is False
        until(lambda: {*ask(second, "unrouted", UNITS).values()} == {"merged"})
        again = start(settings(backend.url))
        assert {*ask(again, "unrouted", UNITS).values()} == {"merged"}, "stopped after a restart, too"
        told = admin.post("/experiments/modes/start").json()
        assert [event["action"] for event in told["events"]] == ["configured", "weights", "stopped", "started"]
        until(lambda: ask(again, "unrouted", UNITS) == after)
        audit = [row["action"] for row in admin.get("/audit").json()["data"]]
        assert audit == ["experiments.start", "experiments.stop", "experiments.weights"]
        for path, body, status, code in (
            ("mode/stop", None, 404, "experiment_not_found"),
            ("modes/weights", {"weights": {"splt": 1}}, 400, "unknown_arm"),
            ("modes/weights", {"weights": {"split": 0}}, 400, None),
            ("modes/weights", {"weights": {"split": -1}}, 400, None),
            ("modes/weights", {"weights": {"split": True}}, 400, None),
            ("modes/weights", {"weights": {"split": 1e7}}, 400, "invalid_value"),
            ("modes/weights", {"weights": {"split": 1e-320}}, 400, "invalid_value"),
            ("modes/weights", {"weights": 1}, 400, None),
            ("modes/weights", {}, 400, None),
            ("modes/weights", {"weights": {}}, 400, "invalid_value"),
            ("modes/weights", {"weights": {"split": 2}, "wieghts": {}}, 400, "unknown_parameter"),
        ):
            refused = admin.post(f"/experiments/{path}", json=body)
            assert refused.status_code == status and code in (None, refused.json()["error"]["code"]), refused.text
            assert refused.json()["error"]["type"] == "invalid_request_error"
        assert len(admin.get("/experiments/modes").json()["events"]) == 4, "what was refused has changed nothing"
    lines = [line for line in caplog.messages if line.startswith("experiment modes")]
    assert "weights by operator at 127.0.0.1: units are now shared merged 20%, split 80%" in lines[0]


def test_an_experiment_has_the_name_of_its_model_also_with_slashes(
    backend: ScriptedBackend, start: Start, tmp_path: Path
) -> None:
    chosen = table(backend.url)
    chosen["models"]["org/model"] = {"arms": ARMS}
    with operator(start(chosen), tmp_path) as admin:
        assert admin.get("/experiments/org/model").json()["name"] == "org/model"
        assert admin.post("/experiments/org/model/stop").json()["running"] is False
        ramped = admin.post("/experiments/org/model/weights", json={"weights": {"split": 3}}).json()
        assert [arm["weight"] for arm in ramped["arms"]] == [1.0, 3.0]
        assert admin.get("/experiments/org").status_code == 404


def test_a_guardrail_stops_an_arm_that_does_harm(
    backend: ScriptedBackend, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    chosen = settings(backend.url, arms={**ARMS, "broken": {"deployment": "away"}}, guardrails={"error": 0.2})
    chosen["deployments"]["away"] = {**chosen["deployments"]["hybrid"], "url": "http://127.0.0.1:9", "retries": 0}
    gateway = start(chosen)
    first = ask(gateway, "unrouted", [f"u{number}" for number in range(240)])
    assert {*first.values()} == {"merged", "split", "broken"}
    until(lambda: "broken" not in {*ask(gateway, "unrouted", UNITS).values()})
    after = ask(gateway, "unrouted", UNITS)
    assert {u: arm for u, arm in after.items() if first[u] != "broken"} == {
        u: first[u] for u in UNITS if first[u] != "broken"
    }
    (line,) = [line for line in caplog.messages if line.startswith("experiment modes")]
    assert "arm broken gets no more units: its error is worse than that of merged by more than 0.2" in line
    (experiment,) = gateway.parts.experiments
    assert gateway.parts.experiments.state(experiment).stopped == {"broken"}


def test_outcomes_stop_an_arm_and_enough_evidence_ends_the_experiment(backend: ScriptedBackend, start: Start) -> None:
    """Nothing is worse of split, but its answers: outcomes arrive after the requests."""
    chosen = settings(
        backend.url, guardrails={"outcome": 0.1}, stop={"metric": "error", "max_units": 150, "decided": False}
    )
    gateway = start(chosen)
    (experiment,) = gateway.parts.experiments
    arms = ask(gateway, "unrouted", [f"u{number}" for number in range(120)])
    rows = gateway.records()
    score(gateway.database, [(row["id"], float(row["arm"] == "merged")) for row in rows])
    again = start(chosen)
    until(lambda: again.parts.experiments.state(experiment).stopped == {"split"})
    assert {*arms.values()} == {"merged", "split"} and {*ask(again, "unrouted", UNITS).values()} == {"merged"}
    again.parts.experiments.change(experiment, "started", "a test", running=True)
    numbers = count()

    def ended() -> bool:
        """After more units: those of the first second do not count, as workers may have had other weights."""
        ask(again, "unrouted", [f"v{next(numbers)}" for _ in range(40)])
        return not again.parts.experiments.state(experiment).running

    until(ended)
    last = again.parts.experiments.journal.events()[-1]
    assert "units: all units go to merged" in str(last.why) and last.who == "stop rule"
