"""The evaluation: a useful router beats chance and length, the bounds hold, and missing heads are said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.commands.lines import fit
from router_model.data.outcomes import Arm
from router_model.evaluation import evaluate, frontier, matching, verdict
from router_model.model.artifact import Head
from tests.router_model import tables


@pytest.fixture(scope="module")
def result(artifact_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("evaluation")
    data = tables.write(tables.rows(seed=1, models=("m", "n"), wordings=(4, 5)), folder / "new.parquet")
    said: list[str] = []
    found = evaluate.run(
        artifact_path,
        [data],
        no_think="m/nothink",
        think="m/think",
        json_file=folder / "r.json",
        html_file=folder / "r.html",
        say=said.append,
    )
    return found | {"folder": folder, "said": "\n".join(said)}


def test_json_holds_what_others_rely_on(result: dict[str, Any]) -> None:
    saved = json.loads((result["folder"] / "r.json").read_text())
    assert {"apgr", "apgr_ci", "recovered_area", "ece", "decision_ms_p99", "baselines"} <= set(saved)
    assert saved["apgr_ci"][0] <= saved["apgr"] <= saved["apgr_ci"][1]
    assert list(saved["baselines"]) == ["random", "length", "best_fixed", "dataset", "ceiling", "oracle"]
    assert all("apgr" in row and row["about"] for row in saved["baselines"].values())


def test_order_of_baselines(result: dict[str, Any]) -> None:
    baselines = result["baselines"]
    assert result["apgr"] > 0.6 > baselines["random"]["apgr"] == 0.5
    assert result["apgr"] <= baselines["oracle"]["apgr"] and baselines["oracle"]["recovered_area"] == pytest.approx(1)
    assert baselines["ceiling"]["apgr"] > 0.5
    assert baselines["dataset"]["apgr"] == pytest.approx(0.5, abs=0.1)
    assert baselines["best_fixed"]["effort"] == "m/think"
    assert result["token_apgr_efforts"] <= baselines["oracle"]["token_apgr_efforts"] + 1e-9


def test_dial_goes_from_cheapest_to_best(result: dict[str, Any]) -> None:
    tokens = [point["tokens"] for point in result["dial"]]
    assert tokens == sorted(tokens)
    assert result["dial"][-1]["accuracy"] >= result["fixed"][-1]["accuracy"] - 0.02
    assert max(point["over_random"] for point in result["dial"]) > 0.05


def test_figures_are_files(result: dict[str, Any]) -> None:
    page = (result["folder"] / "r.html").read_text()
    assert (result["folder"] / "r.png").read_bytes().startswith(b"\x89PNG")
    assert "asks nobody" in page and "effort rises" in page and page.count("data:image/png") >= 3
    assert "data:image/png;base64," in page and not re.search(r"(src|href)=\"http", page)
    assert "token APGR" in result["said"] and "dial-0.5" in result["said"]
    lines = result["said"].splitlines()
    assert "choosing at random: token APGR" in lines[0], "the verdict comes first"
    assert [line for line in map(fit, lines) if max(map(len, line.splitlines() or [""])) > 80] == []


def test_no_other_models_no_ceiling(artifact_path: Path, tmp_path: Path) -> None:
    rows = [row | {"thinking_tokens": None, "completion_tokens": None} for row in tables.rows(seed=2, n=60)]
    found = evaluate.run(artifact_path, [tables.write(rows, tmp_path / "t.parquet")], say=lambda line: None)
    assert found["baselines"]["ceiling"]["apgr"] is None
    assert found["dial"] is None and any("token counts are unknown" in note for note in found["notes"])


def test_no_verdict_on_training_prompts(artifact_path: Path, table_path: Path) -> None:
    said: list[str] = []
    found = evaluate.run(artifact_path, [table_path], say=said.append)
    assert found["seen_in_training"] == found["prompts"] and found["verdict"]["unseen_prompts"] == 0
    assert any("in the router's training data" in note for note in found["notes"])
    assert said[0].startswith("NO VERDICT") and "beats" not in "".join(found["verdict"]["words"])
    assert not found["verdict"]["beats"] + found["verdict"]["loses_to"] + found["verdict"]["not_shown"]


def test_a_router_is_judged_on_unseen_prompts_of_a_table(artifact_path: Path, table_path: Path, tmp_path: Path) -> None:
    fresh = tables.write(tables.rows(n=90, seed=5, wordings=(4, 5)), tmp_path / "fresh.parquet")
    found = evaluate.run(artifact_path, [table_path, fresh], say=lambda line: None)
    assert found["prompts"] == 90 and found["seen_in_training"] == 0
    assert any("240 of 330 prompts set aside" in note for note in found["notes"])
    everything = evaluate.run(artifact_path, [table_path, fresh], include_seen=True, say=lambda line: None)
    assert everything["prompts"] == 330 and everything["verdict"]["trained_on"] == 240


def test_the_verdict_names_what_it_beats_and_what_beats_it(result: dict[str, Any]) -> None:
    found = result["verdict"]
    assert found["unseen_prompts"] == result["prompts"] and set(found["beats"]) >= {"random", "dataset"}
    assert f"on {result['prompts']} unseen prompts" in found["words"][0]
    beaten = {"token_apgr": {"difference": -0.1, "ci": [-0.2, -0.05]}}
    worse = verdict.of(result | {"over": {"random": beaten, "dataset": beaten}, "accuracy_think": 0.1})
    assert worse["loses_to"] == ["random", "dataset"] and "is worse than choosing at random" in worse["words"][0]
    assert any("loses to data set's name only (by -0.100 [-0.200, -0.050])" in line for line in worse["words"])
    assert any("never thinking is as good" in line for line in worse["words"])


def test_an_effort_without_a_head_is_said() -> None:
    heads = [Head("m", False), Head("m", True, 16), Head("m", True, 64), Head("*", True)]
    arms = [Arm("m", "nothink"), Arm("m", "budget", 48), Arm("n", "think"), Arm("n", "nothink")]
    matched, notes = matching.match_heads(heads, arms)
    assert matched == [[0], [2], [3], [0]]
    assert notes == [
        "the router has no head for m/budget-48; forecast by m/budget-64",
        "the router has no head for n/think; forecast by the generic head */think",
        "the router has no head for n/nothink; forecast by the mean of m/nothink",
    ]


def test_the_decision_rule() -> None:
    p = np.array([[0.5, 0.8, 0.9]])
    tokens = np.array([[1.0, 11.0, 101.0]])
    chosen = [int(frontier.choose(p, tokens, price)[0]) for price in (np.inf, 0.1, 0.01, 0.0001)]
    assert chosen == [0, 0, 1, 2]
