"""Calibration in probability: gains keep the trees' order, and forecasts fit; an artifact remembers it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from router_model.data import outcome_reader
from router_model.model import artifact_reader, artifact_writer
from router_model.model.artifact import Head
from router_model.model.calibrated import CalibratedOutput
from router_model.model.predict import Predictor
from router_model.training import calibration, recipes, train
from router_model.training.boosting import Boosting, sigmoid
from router_model.training.settings import Settings
from tests.router_model import tables

SMALL = Settings(boosting=Boosting(rounds=15, rate=0.2), directions=2, folds=2, by_probability=True)


def test_gains_keep_their_order_and_forecasts_fit(artifact_path: Path) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0.5, 2.0, (4000, 2))
    true = 0.25 + 0.4 * sigmoid(logits) + np.array([0.0, 0.1])
    correct = (rng.random(true.shape) < true).astype(float)
    lines = calibration.order_keeping(logits, np.zeros(len(logits)), correct, has_ood=False)
    assert np.abs(lines[:, 0] - 0.4).max() < 0.03 and np.abs(lines[:, 1] - [0.25, 0.35]).max() < 0.03
    assert lines[0, 0] == lines[1, 0]
    stage = artifact_reader.load(artifact_path).text_stage.restricted([0, 1])
    output = CalibratedOutput(
        [Head("m", False), Head("m", True)], replace(stage, calibration=lines, by_probability=True), None
    )
    p = np.array([output([*row, 1, 1, 1, 1], 0.0).p_correct for row in logits[:200].tolist()])
    raw = np.diff(sigmoid(logits[:200]), axis=1)[:, 0]
    assert (np.argsort(p[:, 1] - p[:, 0]) == np.argsort(raw)).all()
    flat = calibration.probabilities(logits, np.zeros(len(logits)), correct, False)
    by_logit = sigmoid(logits[:200] * flat[:, 0] + flat[:, 1])
    assert (np.argsort(by_logit[:, 1] - by_logit[:, 0]) != np.argsort(raw)).any()


def test_novelty_moves_forecasts_only_where_it_was_measured() -> None:
    rng = np.random.default_rng(4)
    logits, novelty = rng.normal(0, 2.0, (3000, 1)), rng.random(3000)
    true = 0.5 + (1 - novelty[:, None]) * 0.8 * (sigmoid(logits) - 0.5)
    correct = (rng.random(true.shape) < true).astype(float)
    blind = calibration.order_keeping(logits, novelty, correct, has_ood=False)
    assert blind[0, 2:].tolist() == [0.0, 0.0]
    slope, _, more, _ = calibration.order_keeping(logits, novelty, correct, has_ood=True)[0].tolist()
    assert abs(slope - 0.8) < 0.1 and abs(more + 0.8) < 0.15 and slope + more > 0


def test_an_artifact_remembers_its_calibration(tmp_path: Path, table_path: Path, artifact_path: Path) -> None:
    artifact = train.train(outcome_reader.read([table_path]), "by-probability", SMALL, lambda line: None)
    artifact_writer.save(artifact, tmp_path / "r", "")
    assert json.loads((tmp_path / "r" / "artifact.json").read_text())["format"] == 5
    loaded = artifact_reader.load(tmp_path / "r")
    assert loaded.text_stage.by_probability and not artifact_reader.load(artifact_path).text_stage.by_probability
    assert json.loads((artifact_path / "artifact.json").read_text())["format"] == 4
    for prompt in outcome_reader.from_rows(tables.rows(n=10, seed=8)).prompts:
        one, two = (Predictor(each).forecast(prompt.messages) for each in (artifact, loaded))
        assert np.allclose(one.p_correct, two.p_correct, atol=2e-3)
        assert all(0 <= p <= 1 for p in two.p_correct)


def test_new_tasks_are_calibrated_so() -> None:
    table = outcome_reader.from_rows(tables.rows(n=4))
    for expects, so in (("tasks", True), ("phrasings", False)):
        assert recipes.chosen("steady", expects)(table, lambda line: None).by_probability is so  # type: ignore[arg-type]
