"""Ladders of efforts that lose, change nothing, or win: forecasts follow what was measured, and choices skip levels."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.efforts import NO_THINKING, Effort
from gateway.core.forecast import EffortForecast
from gateway.core.prices import FREE, Prices
from gateway.routing.policies.worth import best
from router_model.data import outcome_reader
from router_model.data.outcomes import OutcomeError
from router_model.model import artifact_reader, artifact_writer
from router_model.model.predict import Predictor
from router_model.training import selection, train
from tests.router_model import tables
from tests.router_model.conftest import SMALL

# Of each effort: how often it is right on easy and on hard prompts, and its thinking tokens.
Ladder = dict[tuple[str, int | None], tuple[float, float, int]]
STEP: Ladder = {
    ("nothink", None): (0.9, 0.3, 0),
    ("budget", 1024): (0.9, 0.3, 500),
    ("budget", 8192): (0.95, 0.9, 3000),
    ("budget", 24576): (0.95, 0.9, 4000),
}
HARM: Ladder = {
    ("effort-low", None): (0.8, 0.75, 700),
    ("effort-medium", None): (0.75, 0.7, 1500),
    ("effort-high", None): (0.5, 0.45, 9000),
}
HOPELESS: Ladder = {
    ("nothink", None): (0.9, 0.02, 0),
    ("budget", 1024): (0.95, 0.03, 500),
    ("think", None): (0.95, 0.04, 6000),
}


def trained(ladder: Ladder, tmp_path: Path, said: list[str] | None = None) -> Predictor:
    rng, rows = random.Random(3), []
    for i in range(400):
        hard = i % 2
        prompt = f"Prove lemma {i} about rings and fields" if hard else f"Spell the word number {i} please"
        for (mode, budget), rates in ladder.items():
            right = float(rng.random() < rates[hard])
            rows.append(tables.row("made up", f"p{i}", prompt, "m", mode, budget, right, rates[2]))
    table = outcome_reader.read([tables.write(rows, tmp_path / "ladder.parquet")])
    said = [] if said is None else said
    return Predictor(train.train(selection.trainable(table, said.append), "ladder", SMALL, lambda line: None))


def choices(predictor: Predictor, token: float) -> Counter[tuple[str, int | None]]:
    """What the one decision rule takes at this price of a token, for ten easy and ten hard prompts not trained on."""
    found: Counter[tuple[str, int | None]] = Counter()
    for i in range(1000, 1010):
        for kind, text in (("hard", f"Prove lemma {i} about rings and fields"), ("easy", f"Spell the word number {i}")):
            at = predictor.forecast([{"role": "user", "content": text}])
            efforts = [
                EffortForecast(Effort(True, head.budget) if head.think else NO_THINKING, p, thinking, answer, 0.0)
                for head, p, thinking, answer in zip(predictor.heads, *at, strict=True)
            ]
            found[kind, best(efforts, Prices.of("dial", token) if token else FREE).effort.budget] += 1
    return found


def test_a_level_that_changes_nothing_is_skipped(tmp_path: Path) -> None:
    predictor = trained(STEP, tmp_path)
    for token in (1.5e-4, 1e-4):
        found = choices(predictor, token)
        assert found["easy", 0] == 10 and found["hard", 8192] == 10, found


def test_where_more_effort_loses_the_best_at_any_cost_is_less_of_it(tmp_path: Path) -> None:
    said: list[str] = []
    predictor = trained(HARM, tmp_path, said)
    assert predictor.artifact.ordered == frozenset()
    assert "Took 3 named efforts for the budgets they stand for" in said[0]
    forecast = predictor.forecast([{"role": "user", "content": "Prove lemma 7 about rings and fields"}])
    by_budget = {head.budget: i for i, head in enumerate(predictor.heads)}
    assert forecast.p_correct[by_budget[1024]] > forecast.p_correct[by_budget[4096]] + 0.15
    assert forecast.thinking_tokens[by_budget[4096]] > 6000, "a level takes what it was measured to take"
    assert not any(budget == 4096 for _, budget in choices(predictor, 0.0))


def test_a_hopeless_request_is_given_up(tmp_path: Path) -> None:
    """Nothing gets it right, so that it costs no thought; what thinking helps still gets one."""
    found = choices(trained(HOPELESS, tmp_path), 4e-5)
    assert found["hard", 0] == 10, found


def test_an_artifact_says_which_models_are_ordered(table_path: Path, tmp_path: Path) -> None:
    table = selection.trainable(outcome_reader.read([table_path]), lambda line: None)
    trained_on_sums = train.train(table, "sums", SMALL, lambda line: None)
    versions = set()
    for ordered in (frozenset[str](), frozenset({"m"}), None):
        artifact = replace(trained_on_sums, ordered=ordered)
        artifact_writer.save(artifact, tmp_path / "one", "card")
        assert artifact_reader.load(tmp_path / "one").ordered == ordered
        versions.add(artifact_writer.version_of("x", artifact_writer.numbers(artifact), artifact.heads))
    assert len(versions) == 3, "it changes forecasts, so that it is part of the version"


def test_a_level_of_no_known_name_is_left_out(tmp_path: Path) -> None:
    ladder: Ladder = {("effort-low", None): (0.9, 0.5, 10), ("effort-silly", None): (0.9, 0.5, 10)}
    with pytest.raises(OutcomeError, match="one arm only"):
        trained(ladder, tmp_path)
