"""Judging a table by routers trained on the rest of it: what is left out stays out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from gateway.cli import main
from router_model.data import outcome_reader, outcomes
from router_model.data.outcomes import Arm, OutcomeError
from router_model.evaluation import crossval, evaluate
from router_model.training.settings import Settings
from tests.router_model import tables
from tests.router_model.conftest import SMALL

PUBLIC = Path(__file__).parents[3] / "shared" / "data" / "public_outcomes.parquet"
PAIR = [Arm("m", "nothink"), Arm("m", "think")]


def _small(table: outcomes.Outcomes, say: Any) -> Settings:
    return replace(SMALL, expects="tasks", fitted=2, pooled=True)


def _quick(table: outcomes.Outcomes, say: Any) -> Settings:
    """For what does not depend on how good the routers are."""
    boosting = replace(SMALL.boosting, rounds=4, rate=0.5)
    return replace(_small(table, say), boosting=boosting, folds=2, attacked=0)


def _rows() -> list[dict[str, Any]]:
    """Four tasks in two suites, one of them in both; a second model."""
    names = ("easy/sums", "hard/sums", "easy/more", "hard/rest")
    return [
        row | {"dataset": name, "phrasing": None}
        for k, name in enumerate(names)
        for row in tables.rows(60, seed=k, models=("m", "n"), name=name)
    ]


@pytest.fixture(scope="module")
def table() -> outcomes.Outcomes:
    return outcome_reader.from_rows(_rows())


@pytest.mark.parametrize(
    ("unit", "count"), [("dataset", 4), ("task", 3), ("suite", 2)]
)  # fmt: skip
def test_no_unit_is_on_both_sides(table: outcomes.Outcomes, unit: crossval.Unit, count: int) -> None:
    units = np.array([crossval.unit_of(prompt, unit) for prompt in table.prompts])
    assert len(set(units)) == count
    folds = crossval.trained(table, PAIR, unit, _quick, folds=2)
    assert sorted(np.concatenate([fold.rows for fold in folds]).tolist()) == list(range(len(table)))
    for predictor, rows in folds:
        left_out = set(units[rows])
        assert left_out.isdisjoint(units[np.setdiff1d(np.arange(len(table)), rows)])
        assert len(predictor.artifact.seen) <= len(table) - len(rows)
        assert {head.model for head in predictor.heads} == {"m", "*"}


def test_one_unit_cannot_be_left_out(table: outcomes.Outcomes) -> None:
    with pytest.raises(OutcomeError, match="only one dataset"):
        crossval.trained(table.of_datasets(["easy/more"]), PAIR, "dataset", _quick)


def test_figures_by_task(tmp_path: Path) -> None:
    path = tables.write(_rows(), tmp_path / "t.parquet")
    said: list[str] = []
    found = evaluate.run(
        None,
        [path],
        no_think="m/nothink",
        think="m/think",
        leave_out="task",
        datasets=["*/sums", "easy/*", "hard/rest"],
        settings=_small,
        html_file=tmp_path / "t.html",
        say=said.append,
    )
    assert found["left_out"] == "task" and found["seen_in_training"] == 0 and found["prompts"] == 240
    assert [row["dataset"] for row in found["datasets"]] == ["easy/more", "easy/sums", "hard/rest", "hard/sums"]
    assert found["apgr"] > 0.6 and not any(row["below_random"] for row in found["datasets"])
    assert found["regret"]["mean"]["router"] < found["regret"]["mean"]["best_fixed"]
    assert found["baselines"]["ceiling"]["apgr"] is not None
    assert "judged on what was left out by task" in (tmp_path / "t.html").read_text()


def test_either_a_router_or_something_to_leave_out(tmp_path: Path) -> None:
    path = tables.write(tables.rows(20), tmp_path / "t.parquet")
    refused = CliRunner().invoke(main, ["evaluate", "--data", str(path)])
    assert refused.exit_code == 1 and "give either a router to evaluate, or what to leave out" in refused.output


def test_a_name_that_changed_is_one_arm() -> None:
    rows = [row for row in tables.rows(12, models=("old", "new")) if row["mode"] in ("nothink", "think")]
    rows = [row for row in rows if (row["model"] == "old") == (int(row["prompt_id"].split("-")[1]) < 6)]
    table = outcome_reader.from_rows(rows).merged(["new/nothink", "old/nothink"]).merged(["new/think", "old/think"])
    assert [arm.model for arm in table.arms] == ["new", "new"]
    assert not np.isnan(table.correct).any()


@pytest.mark.skipif(not PUBLIC.is_file(), reason="the public outcomes are not part of the repository")
def test_real_models(tmp_path: Path) -> None:
    """A small corner of the table of real models that is kept beside the checkout."""
    corner = tmp_path / "corner.parquet"
    pq.write_table(pq.read_table(PUBLIC, filters=[("dataset", "in", ["mip-gsm8k", "mip-math"])]), corner)
    pair = {"no_think": "gpt-4o/nothink", "think": "o1-mini/think,o3-mini/effort-medium"}
    found = evaluate.run(None, [corner], leave_out="prompt", settings=_quick, say=lambda line: None, **pair)  # type: ignore[arg-type]
    assert found["prompts"] == 634 and {row["dataset"] for row in found["datasets"]} == {"mip-gsm8k", "mip-math"}
    assert any("counted" in note for note in found["notes"])


def test_where_text_was_not_shown_to_tell_anything_of_new_work_nothing_is_lost_against_chance(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if not k.startswith("probe")} for row in _rows() if row["model"] == "m"]
    said: list[str] = []
    path = tables.write(rows, tmp_path / "t.parquet")
    found = evaluate.run(
        None, [path], leave_out="suite", settings=_small, html_file=tmp_path / "t.html", say=said.append
    )
    # One suite to learn from cannot show how text fares on another.
    assert found["fell_back"] == 1 and found["apgr"] == pytest.approx(0.5) and found["text_apgr"] > 0.5
    assert any("get the default effort" in note for note in found["notes"])
    assert "had their text been trusted" in "\n".join(said) and "fell back" in (tmp_path / "t.html").read_text()
