"""Budgets between those of the heads, and how far token counts may lie from their forecast."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from router_model.data import outcome_reader
from router_model.data.outcomes import Arm
from router_model.evaluation import evaluate, report
from router_model.model import predict
from router_model.model.budget_interpolation import ReasoningLength
from router_model.model.predict import Head, Predictor, Scores, Surface
from router_model.training import calibration
from tests.router_model import tables

HEADS = (Head("m", False), Head("m", True, 16), Head("m", True, 64), Head("m", True))
SCORES = Scores([0.2, 0.3, 0.8, 0.9], [0.0, 15.0, 28.0, 30.0], [3.0, 4.0, 3.0, 3.0])
SPREAD = [[-0.1, 0.0, 0.1]] * 4
QUESTION = [{"role": "user", "content": "Add these: 12 and 55 and 71 and 40"}]


@pytest.fixture(scope="module")
def predictor(artifact_path: Path) -> Predictor:
    return predict.load(artifact_path)


def at(*budgets: int | None) -> Scores:
    surface = Surface(HEADS, [Head("m", True, budget) for budget in budgets])
    return surface(SCORES, SPREAD)


def test_heads_are_on_their_surface() -> None:
    surface = Surface(HEADS, HEADS)
    assert surface.exact and surface(SCORES, ()) == SCORES


def test_a_budget_between_two_brings_as_much_as_it_covers() -> None:
    """ReasoningLength of 27 to 33 tokens: 24 tokens cover next to none of them, 40 nearly all."""
    found = at(24, 40)
    assert found.p_correct[0] == pytest.approx(0.3, abs=0.01) and found.p_correct[1] == pytest.approx(0.8, abs=0.01)
    assert found.thinking_tokens[0] == pytest.approx(15 + 13 * (24 - 16) / (30 - 16), abs=0.6)
    assert found.thinking_tokens[1] == pytest.approx(28, abs=0.2)


def test_beyond_the_largest_budget_lies_thinking_without_one() -> None:
    found = at(4, 10_000)
    assert found.p_correct == pytest.approx([0.3, 0.8], abs=0.11)
    assert found.thinking_tokens[0] == 4.0
    wide = Surface(HEADS, [Head("m", True, 70)])(SCORES, [[-1.0, 0.0, 1.0]] * 4)
    assert 0.8 < wide.p_correct[0] < 0.9


def test_forecasts_never_fall_along_budgets() -> None:
    found = at(*range(8, 129, 4), None)
    assert all(a <= b for values in (found.p_correct, found.thinking_tokens) for a, b in pairwise(values))


def test_an_effort_of_a_model_without_heads_is_refused() -> None:
    with pytest.raises(KeyError, match="n/budget-8"):
        Surface(HEADS, [Head("n", True, 8)])


def test_mean_lengths_of_thoughts_that_are_cut() -> None:
    rng = np.random.default_rng(0)
    thoughts = ReasoningLength(3.0, 0.4)
    lengths = np.expm1(rng.normal(3.0, 0.4, 200_000))
    for budget in (10, 20, 40, math.inf):
        assert thoughts.mean(budget) == pytest.approx(np.minimum(lengths, budget).mean(), rel=0.01)
        assert thoughts.within(budget) == pytest.approx((lengths <= budget).mean(), abs=0.01)


def test_left_out_budgets_are_told_by_their_neighbours(predictor: Predictor, tmp_path: Path) -> None:
    """The surface of all heads but one, judged on what that one knows."""
    part = predict.Predictor(
        predictor.artifact.restricted([i for i, h in enumerate(predictor.heads) if h.budget != 32])
    )
    table = outcome_reader.read([tables.write(tables.rows(seed=1, wordings=(4, 5)), tmp_path / "new.parquet")])
    arm = next(i for i, arm in enumerate(table.arms) if arm.budget == 32)
    surface = part.surface([("m", True, 32)])
    told = []
    for prompt in table.prompts:
        reading = part.read(prompt.messages)
        told.append(part.at(surface, part.scores(reading), reading).p_correct[0])
    error = np.square(np.array(told) - table.correct[:, arm]).mean()
    assert error < 0.8 * table.correct[:, arm].var()


def test_quantiles_lie_around_the_forecast_and_within_the_budget(predictor: Predictor) -> None:
    reading = predictor.read(QUESTION)
    scores = predictor.scores(reading)
    found = predictor.quantiles(scores, reading)
    for low, half, high in (found.thinking, found.answer):
        assert all(a <= b <= c for a, b, c in zip(low, half, high, strict=True))
    assert found.thinking[2][0] == 0.0
    assert all(most <= (head.budget or math.inf) for most, head in zip(found.thinking[2], predictor.heads, strict=True))
    part = predictor.restricted({"m"})
    assert part.quantiles(part.scores(reading), reading) == found
    strange = predictor.quantiles(scores, reading._replace(ood_probability=1.0))
    assert (
        strange != predictor.quantiles(scores, reading._replace(ood_probability=0.0))
        or predictor.artifact.about["folds"] < 4
    )


def test_quantiles_cover_what_they_promise() -> None:
    rng = np.random.default_rng(0)
    forecast = rng.uniform(2, 5, (4000, 2))
    real = forecast + rng.normal(0.1, 0.3, (4000, 2))
    spread = calibration.spreads(forecast[:2000], real[:2000], np.ones((1, 2), np.float32))
    for kind in (0, 1):
        low, _, high = spread[0, kind]
        off = real[2000:, kind] - forecast[2000:, kind]
        assert ((off >= low) & (off <= high)).mean() == pytest.approx(0.8, abs=0.03)
    few = calibration.spreads(forecast[:5], real[:5], np.ones((1, 2), np.float32))
    assert not few.any()


def test_an_evaluation_says_how_often_counts_lie_in_their_range(predictor: Predictor, tmp_path: Path) -> None:
    """In these tables every thought takes ten tokens a number, and every answer three."""
    table = outcome_reader.read([tables.write(tables.rows(seed=1, wordings=(4, 5)), tmp_path / "new.parquet")])
    found = evaluate.evaluate(predictor, table, Arm("m", "nothink"), Arm("m", "think"))
    ranges = found["token_ranges"]
    assert set(ranges["thinking"]) == {"m/think"} and set(ranges["answer"]) == {arm.name for arm in table.arms}
    assert ranges["thinking"]["m/think"]["within"] > 0.6
    assert all(row["within"] > 0.9 for row in ranges["answer"].values())
    assert "token counts from the P10 to the P90 forecast" in report.text(found)
