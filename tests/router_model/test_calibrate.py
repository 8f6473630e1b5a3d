"""Adapting a router: mixtures are trees again, few prompts suffice where the base knows the work, faults are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gateway.cli import main
from router_model.adapting import adapt, calibrate
from router_model.data import outcome_reader
from router_model.evaluation import evaluate
from router_model.model import artifact_reader, predict
from router_model.model.predict import Predictor, Probe
from router_model.training.boosting import Boosting, grow
from tests.router_model import tables

QUESTION = [{"role": "user", "content": "Add these: 12 and 55 and 71 and 40"}]


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few dozen prompts of a model that the base has never met."""
    rows = tables.rows(n=60, seed=5, models=("own",), wordings=range(4))
    return tables.write(rows, tmp_path_factory.mktemp("own") / "own.parquet")


@pytest.fixture(scope="module")
def adapted(artifact_path: Path, own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapted") / "own"
    code, said = run("calibrate", "--router", artifact_path, "--data", own, "--out", out)
    assert code == 0, said
    assert "own/nothink" in said and f"Wrote {out}" in " ".join(said.split())
    return out


def test_mixed_trees_are_the_mixture_of_their_outputs() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)).astype(np.float32)
    small, large = (
        grow(x, (x[:, :2] > 0).astype(float), x[:, 2:4].astype(float), Boosting(rounds=5, leaves=n)) for n in (4, 8)
    )
    weights, offset = rng.normal(size=(4, 3)), rng.normal(size=3)
    mixed = small.mixed(weights, offset)
    np.testing.assert_allclose(mixed.score_all(x), small.score_all(x) @ weights + offset, atol=0.01)
    both = small.beside(large)
    np.testing.assert_allclose(both.score_all(x), small.score_all(x) + large.score_all(x), atol=1e-5)


def test_a_mixture_begins_with_the_nearest_and_follows_outcomes() -> None:
    rng = np.random.default_rng(1)
    known = rng.normal(0, 2, size=(400, 3))
    nearest = np.array([[1.0], [0.0], [0.0]])
    weight = np.ones(400)
    right = (rng.random(400) < 1 / (1 + np.exp(-(known[:, 0] + 1)))).astype(float)[:, None]
    few = np.where(np.arange(400)[:, None] < 1, right, np.nan)
    begun = adapt.mixture(known, few, nearest, [True], adapt.Shrinkage(), True, weight)
    assert begun.weights[:, 0] == pytest.approx([1, 0, 0], abs=0.3)
    other = (rng.random(400) < 1 / (1 + np.exp(-(0.5 * known[:, 1] - 1)))).astype(float)[:, None]
    moved = adapt.mixture(known, other, nearest, [True], adapt.Shrinkage(), True, weight)
    assert moved.weights[1, 0] > 0.25 and abs(moved.weights[0, 0]) < 0.2
    assert moved.offset[0] == pytest.approx(-1, abs=0.4)


def test_staircases_stand_for_their_column() -> None:
    x = np.random.default_rng(2).normal(size=(500, 2))
    trees, steps = adapt.staircases((0, 1), x, 16, 2)
    climbed = adapt.leaf_means(x, trees.threshold, steps)
    assert np.abs(climbed - x).mean() < 0.1
    values = np.zeros((2, 16, 2), np.float32)
    values[0, :, 0], values[1, :, 1] = steps[0], steps[1]
    one_each = type(trees)(trees.feature, trees.threshold, trees.rules_out, values, trees.base)
    np.testing.assert_allclose(one_each.score_all(x.astype(np.float32)), climbed, atol=1e-6)


def test_the_adapted_router_is_an_artifact_like_any_other(adapted: Path, artifact_path: Path, own: Path) -> None:
    base, made = artifact_reader.load(artifact_path), artifact_reader.load(adapted)
    assert {head.model for head in made.heads} == {"own"} and len(made.heads) == 6
    assert made.about["adapted_from"] == base.version and base.version in (adapted / "CARD.md").read_text()
    assert set(base.seen.tolist()) < set(made.seen.tolist()) and set(base.vocabulary) <= set(made.vocabulary)
    found = evaluate.run(adapted, [own], say=lambda line: None)
    assert found["seen_in_training"] == found["prompts"]


def test_few_prompts_are_enough_where_the_base_knows_the_work(adapted: Path, tmp_path: Path) -> None:
    rows = tables.rows(n=150, seed=6, models=("own",), wordings=(4, 5))
    found = evaluate.run(adapted, [tables.write(rows, tmp_path / "new.parquet")], say=lambda line: None)
    assert found["apgr"] > 0.6 and found["auc"] > 0.8 and found["ece"] < 0.1
    assert found["probe"]["auc_after"] >= found["auc"] - 0.02


def test_probes_are_learned_with_the_base_and_without(adapted: Path, artifact_path: Path, own: Path) -> None:
    def moves(predictor: Predictor) -> bool:
        sure, unsure = (
            predictor.forecast(QUESTION, probe=probe, probed=0).p_correct[0]
            for probe in (Probe(3, -0.001, -0.002, 6.0), Probe(3, -1.5, -3.0, 0.1))
        )
        return unsure < predictor.forecast(QUESTION).p_correct[0] < sure

    assert moves(predict.load(adapted))
    bare = replace(artifact_reader.load(artifact_path), probed={})
    made = calibrate.calibrate(bare, outcome_reader.read([own]), "own", say=lambda line: None)
    assert moves(Predictor(made))


def test_own_traffic_is_familiar(adapted: Path) -> None:
    known = predict.load(adapted)
    prompts = [row["prompt"] for row in tables.rows(n=60, seed=9, models=("own",), wordings=range(4))][::6]
    strange = [
        known.read([{"role": "user", "content": prompt}]).ood_probability > predict.OOD_UNTRUSTED for prompt in prompts
    ]
    assert np.mean(strange) < 0.4
    assert (
        known.read([{"role": "user", "content": "Qui a peint ce tableau du Louvre ?"}]).ood_probability
        > predict.OOD_UNTRUSTED
    )


def test_the_same_data_give_the_same_artifact(adapted: Path, artifact_path: Path, own: Path, tmp_path: Path) -> None:
    again = tmp_path / "own"
    assert run("calibrate", "--router", artifact_path, "--data", own, "--out", again)[0] == 0
    assert (again / "weights.npz").read_bytes() == (adapted / "weights.npz").read_bytes()


def test_the_curve_says_what_more_prompts_would_bring(artifact_path: Path, tmp_path: Path) -> None:
    data = tables.write(tables.rows(n=150, seed=7, models=("own",)), tmp_path / "own.parquet")
    code, said = run("calibrate", "--router", artifact_path, "--data", data, "--curve", "--json", tmp_path / "c.json")
    assert code == 0, said
    saved = json.loads((tmp_path / "c.json").read_text())
    sizes = [row["prompts"] for row in saved["rows"]]
    assert sizes[:3] == [0, 25, 50] and sizes == sorted(sizes) and sizes[-1] + saved["held_out"] == 150
    assert {"apgr", "token_apgr", "token_apgr_probe", "ece", "ece_spread"} <= set(saved["rows"][1])
    assert "evaluated on" in said and "prompts" in said


def _lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(
        json.dumps({"id": row["prompt_id"], "messages": [{"role": "user", "content": row["prompt"]}]}) + "\n"
        for row in rows
    )


@pytest.fixture
def pool(tmp_path: Path) -> Callable[[Sequence[dict[str, Any]]], Path]:
    def write(rows: Sequence[dict[str, Any]]) -> Path:
        (tmp_path / "tasks.jsonl").write_text(_lines(rows))
        return tmp_path / "tasks.jsonl"

    return write


def test_chosen_tasks_are_new_and_unlike_each_other(
    artifact_path: Path, own: Path, pool: Callable[[Sequence[dict[str, Any]]], Path], tmp_path: Path
) -> None:
    made = [row for row in tables.rows(n=80, seed=8, models=("own",)) if row["mode"] == "nothink"]
    old = [row for row in tables.rows(n=60, seed=5, models=("own",), wordings=range(4)) if row["mode"] == "nothink"]
    tasks = pool([*made, *made[:5], *old[:10]])
    out = tmp_path / "chosen.jsonl"
    words = ("calibrate", "--router", artifact_path, "--data", own, "--tasks", tasks, "--out", out, "--choose", 20)
    code, said = run(*map(str, words))
    assert code == 0 and "repeated or collected already" in said
    chosen = [json.loads(line)["id"] for line in out.read_text().splitlines()]
    assert len(chosen) == len(set(chosen)) == 20 and set(chosen) <= {row["prompt_id"] for row in made}
    levels = {row["prompt"].count("and") for row in made if row["prompt_id"] in chosen}
    assert len(levels) >= 4
    assert run(*map(str, words))[1] == said


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--choose", "5"), "--choose needs --tasks and --out"),
        (("--out", "x"), "--data is needed"),
        (("--data", "OWN"), "--out is needed"),
        (("--data", "OWN", "--out", "x", "--json", "y"), "--json is for --curve"),
        (("--data", "OWN", "--out", "x", "--model", "none"), "no outcomes of none in the data; there are: own"),
        (("--data", "FEW", "--out", "x"), "12 prompts are too few to calibrate on: it takes 20"),
        (("--data", "ONE", "--out", "x"), "one arm only"),
        (("--data", "SOME", "--curve"), "40 prompts are too few for a curve"),
    ],
)
def test_faults_are_one_line(words: Sequence[str], fault: str, artifact_path: Path, own: Path, tmp_path: Path) -> None:
    few = tables.write(tables.rows(n=12, models=("own",)), tmp_path / "few.parquet")
    one = [row for row in tables.rows(n=60, models=("own",)) if row["mode"] == "nothink"]
    some = tables.write(tables.rows(n=40, models=("own",)), tmp_path / "some.parquet")
    files = {"OWN": own, "SOME": some, "FEW": few, "ONE": tables.write(one, tmp_path / "one.parquet")}
    shown = [str(files.get(word, tmp_path / word if word in ("x", "y") else word)) for word in words]
    code, said = run("calibrate", "--router", artifact_path, *shown)
    assert code == 1 and said.startswith("thinkgate: ") and fault in said
    assert len(said.strip().splitlines()) == 1


def test_an_unknown_router_and_a_broken_task_are_told(
    artifact_path: Path, own: Path, pool: Callable[[Sequence[dict[str, Any]]], Path], tmp_path: Path
) -> None:
    code, said = run("calibrate", "--router", "nowhere", "--data", own, "--out", tmp_path / "x")
    assert code == 1 and "no router artifact at nowhere" in said
    tasks = pool([])
    tasks.write_text('{"messages": []}\n')
    code, said = run("calibrate", "--router", artifact_path, "--tasks", tasks, "--choose", "3", "--out", tmp_path / "x")
    assert code == 1 and "line 1: a task has a list of messages" in said


def test_prompts_that_the_base_has_seen_are_noticed(artifact_path: Path, table_path: Path, tmp_path: Path) -> None:
    code, said = run("calibrate", "--router", artifact_path, "--data", table_path, "--out", tmp_path / "m")
    assert code == 0 and "prompts were in the training data of sums-" in said
