"""`thinkgate experiment`: from requests over HTTP to a table, stable JSON and a page."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.commands.lines import COLUMNS
from gateway.config.experiment import Metric
from gateway.core.experiment_row import ExperimentRow
from gateway.routing.experiments.evidence import SETTLING_S, evidence
from gateway.routing.experiments.experiment import Experiment
from gateway.routing.experiments.measures import MEASURES
from gateway.routing.experiments.state import Event
from router_model.experiments.metrics import METRICS
from tests.gateway.conftest import Start, table
from tests.gateway.experimenting import as_toml, ask, score
from tests.gateway.scripted import ScriptedBackend

TRIED: dict[str, Any] = {
    "model": "unrouted",
    "arms": {"merged": {"deployment": "hybrid"}, "split": {"none": "instruct", "think": "thinking"}},
    "guardrails": {"error": 0.1},
}


def said(*arguments: str | Path) -> str:
    done = CliRunner().invoke(main, ["experiment", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def written(settings: dict[str, Any], folder: Path) -> Path:
    path = folder / "thinkgate.toml"
    path.write_text(as_toml({"records": {"path": str(folder / "records.db")}, **settings}), "utf-8")
    return path


def test_a_report_from_requests_to_json_table_and_page(backend: ScriptedBackend, start: Start, tmp_path: Path) -> None:
    settings = {**table(backend.url), "experiments": {"modes": TRIED}}
    config = written(settings, tmp_path)
    empty = tmp_path / "empty.html"
    assert "Too few units of split and merged" in said("report", "modes", "--config", config, "--html", empty)
    assert "Too few units of split and merged" in empty.read_text("utf-8")
    gateway = start(settings)
    arms = ask(gateway, "unrouted", [f"u{number}" for number in range(160)], reasoning_effort="none")
    rows, rng = gateway.records(), random.Random(1)
    assert {row["experiment"] for row in rows} == {"modes"}
    right = {"split": 0.95, "merged": 0.3}
    score(gateway.database, [(row["id"], float(rng.random() < right[row["arm"]])) for row in rows])
    json_file, html_file = tmp_path / "report.json", tmp_path / "report.html"
    told = said("report", "modes", "--config", config, "--json", json_file, "--html", html_file)
    found = json.loads(json_file.read_text("utf-8"))
    merged, split = found["arms"]
    assert (merged["units"], split["units"]) == tuple([*arms.values()].count(arm) for arm in ("merged", "split"))
    outcome = next(one for one in found["differences"] if one["metric"] == "outcome")
    assert outcome["arm"] == "split" and outcome["against"] == "merged" and outcome["verdict"] == "better"
    assert outcome["ci"][0] < 0.65 < outcome["ci"][1] and found["srm_p"] > 0.01
    assert {one["metric"] for one in found["differences"]} == {*get_args(Metric)}
    assert merged["metrics"]["error"]["mean"] == 0 and merged["metrics"]["total_tokens"]["mean"] > 0
    assert told.startswith("split answers ") and "points" in told.splitlines()[0]
    assert all(len(line) <= COLUMNS for line in told.splitlines() if not line.startswith("  /"))
    page = html_file.read_text("utf-8")
    assert page.count("<svg") > 10 and "split answers" in page and "<polygon" in page and "http" not in page
    listed = said("list", "--config", config)
    assert "modes: runs, on model unrouted" in listed and "50.0%  merged (default)" in listed
    (listed_json,) = json.loads(said("list", "--config", config, "--json"))
    assert listed_json["name"] == "modes" and listed_json["arms"][1] == {
        "name": "split",
        "weight": 1.0,
        "share": 0.5,
        "default": False,
        "stopped": False,
    }


def test_unknown_experiments_are_refused(backend: ScriptedBackend, tmp_path: Path) -> None:
    config = written({**table(backend.url), "experiments": {"modes": TRIED}}, tmp_path)
    done = CliRunner().invoke(main, ["experiment", "report", "mode", "--config", str(config)])
    assert done.exit_code == 1 and "there is no experiment 'mode'. Did you mean 'modes'?" in done.output
    config = written(table(backend.url), tmp_path)
    assert "There are no experiments" in said("list", "--config", config)


def test_metrics_have_one_name_everywhere() -> None:
    assert {*get_args(Metric)} == {*METRICS} == {*MEASURES}


def row(**given: Any) -> ExperimentRow:
    nothing: dict[str, Any] = dict.fromkeys(ExperimentRow._fields)
    return ExperimentRow(**{**nothing, "id": "i", "time": 0.0, "status": 200, **given})


MEASURED: list[tuple[Metric, dict[str, Any], float | None]] = [
    ("leak", {"applied": "none", "used": 12}, 1.0),
    ("leak", {"applied": "none", "used": 0}, 0.0),
    ("leak", {"applied": "none", "reasoning_tokens": 3}, 1.0),
    ("leak", {"applied": "1024", "used": 12}, None),
    ("leak", {"applied": "none"}, None),
    ("over_budget", {"verdict": "over"}, 1.0),
    ("over_budget", {"verdict": "unknown"}, None),
    ("error", {"status": 503}, 1.0),
    ("error", {"status": 499}, None),
    ("error", {}, 0.0),
    ("latency_s", {"status": 503, "latency": 0.1}, None),
    ("first_answer_s", {"first_answer_ms": 250.0}, 0.25),
    ("first_answer_s", {"ttft": 0.1}, None),
    ("total_tokens", {"completion_tokens": 7, "probe": "thrown_away", "probe_tokens": 4}, 11.0),
    ("total_tokens", {"completion_tokens": 7, "probe": "kept", "probe_tokens": 4}, 7.0),
]


def test_what_is_measured_of_a_request() -> None:
    for metric, given, value in MEASURED:
        found = MEASURES[metric](row(**given))
        assert found == value or (value is None and found != found), (metric, given, found)


def test_units_count_by_the_weights_that_held_when_they_came(experiment: Experiment) -> None:
    """Who came while workers may have had either weights is left out, and so is who came when no arm was drawn."""
    events = [
        Event(100.0, "modes", "configured", "c", {"merged": 1.0, "split": 1.0}, True, "modes"),
        Event(200.0, "modes", "weights", "o", {"merged": 1.0, "split": 3.0}),
        Event(300.0, "modes", "arm_stopped", "g", arm="split"),
    ]
    times = {"a": 150.0, "b": 200.0 + SETTLING_S / 2, "c": 250.0, "d": 350.0}
    rows = [row(unit=unit, arm="merged", time=time) for unit, time in times.items()]
    rows += [row(unit="a", arm="split", time=260.0), row(unit="e", arm="gone", time=260.0)]
    found = evidence(experiment, events, rows)
    assert [dict(phase) for phase in found.design.phases] == [
        {"merged": 1.0, "split": 1.0},
        {"merged": 1.0, "split": 3.0},
        {"merged": 1.0, "split": 0.0},
    ]
    assert [*found.columns.unit] == ["a", "c", "d", "a"]
    assert found.columns.phase is not None and found.columns.phase.tolist() == [0, 1, 2, 1]
    told = found.report("modes")
    assert told["arms"][0]["units"] == 3 and told["requests_switched"] == 1
    assert {one["units"] for one in told["differences"] if one["metric"] == "error"} == {2}


def test_answers_of_other_arms_are_pairs_and_no_requests(experiment: Experiment) -> None:
    """They count in no arm, and what was cut short says nothing. Each request has what the default arm would bring."""
    arms, rows, rng = ("merged", "split"), [], random.Random(7)
    for number in range(400):
        arm, p = rng.choice(arms), rng.random()
        right = {"merged": float(rng.random() < 0.1 + 0.8 * p)}
        right["split"] = 1.0 if rng.random() < 0.2 else right["merged"]
        common: dict[str, Any] = {"unit": f"u{number}", "time": float(number), "baseline": f"[{p},9.0,5.0,1.0]"}
        rows.append(row(**common, id=f"c{number}", arm=arm, outcome=right[arm]))
        if number % 2 == 0:
            other = arms[arm == "merged"]
            status = 499 if number % 40 == 0 else 200
            rows.append(
                row(**common, id=f"p{number}", arm=other, outcome=right[other], status=status, paired_with=f"c{number}")
            )
    rows.append(row(id="p", arm="split", paired_with="of another time", unit="u", outcome=0.0))
    found = evidence(experiment, [], rows)
    alone = evidence(experiment, [], [one for one in rows if one.paired_with is None])
    told, apart = found.report("modes"), alone.report("modes")
    assert told["arms"] == apart["arms"] and told["srm_p"] == apart["srm_p"]
    outcome, before = told["differences"][0], apart["differences"][0]
    assert (outcome["metric"], outcome["method"], before["method"]) == ("outcome", "combined", "units")
    assert (outcome["pairs"]["units"], outcome["apart"]["units"], outcome["units"]) == (190, 210, 400)
    assert outcome["ci"][0] < 0.1 < outcome["ci"][1]
    assert outcome["ci"][1] - outcome["ci"][0] < before["ci"][1] - before["ci"][0]
    assert 0.02 < outcome["variance_removed"] < 1
    assert " (by 190 pairs and 210 other units)" in told["verdicts"][0]


@pytest.fixture
def experiment() -> Experiment:
    from gateway import assembly
    from gateway.config.settings import parse

    settings = parse({**table("http://127.0.0.1:9"), "experiments": {"modes": TRIED}})
    found = assembly.catalogue(settings, assembly.deployments(settings), {}).find("unrouted").experiment
    assert found is not None
    return found
