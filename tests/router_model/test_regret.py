"""Regret over prices, and the mean height of a hull: by hand on a few prompts."""

from __future__ import annotations

import numpy as np
import pytest

from router_model.data.outcomes import Arm, Outcomes, PromptRow
from router_model.evaluation import metrics, promises, regret
from router_model.evaluation.frontier import DIALS, Forecasts


def test_who_knows_all_regrets_nothing_and_others_what_they_lose() -> None:
    gain, cost = np.array([1.0, 0.0, 0.0, -1.0]), np.ones(4)
    knows = gain[:, None] > regret.PRICES
    wrong = ~knows
    found = regret.figures(gain, cost, {"router": knows, "wrong": wrong}, {"length": np.array([4.0, 3.0, 2.0, 1.0])})
    assert found["mean"]["router"] == pytest.approx(0)
    assert found["mean"]["length"] == pytest.approx(0)
    assert found["recovered_gap"]["router"] == pytest.approx(1)
    assert found["recovered_gap"]["best_fixed"] == pytest.approx(0)
    # The price of the dearest, 1, is what the one gain is worth: nothing can be lost there but by thinking.
    assert found["curves"]["best_fixed"][-1] == pytest.approx(0)
    assert found["mean"]["wrong"] > found["mean"]["random"] > found["mean"]["best_fixed"] > 0


def test_mean_height_of_a_hull() -> None:
    assert metrics.aiq(np.array([0.0, 1.0]), np.array([0.2, 0.8])) == pytest.approx(0.5)
    # Reached at half the cost, kept to the end; the dip below the hull is bridged.
    x, quality = np.array([0.0, 0.25, 0.5, 1.0]), np.array([0.2, 0.1, 0.8, 0.6])
    assert metrics.aiq(x, quality) == pytest.approx(0.5 * 0.5 + 0.5 * 0.8)


def test_resampled_calibration_is_that_of_the_prompts() -> None:
    rng = np.random.default_rng(1)
    said = rng.random((400, 2))
    real = (rng.random((400, 2)) < said).astype(float)
    once = metrics.ece_draws(said, real, np.ones((1, 400)))
    assert once[0] == pytest.approx(metrics.ece(said.ravel(), real.ravel()))


def test_promises_of_a_useful_router_hold_and_save() -> None:
    rng = np.random.default_rng(3)
    n = 400
    hard = rng.random(n) < 0.5
    correct = np.stack([~hard, np.ones(n)], axis=1).astype(float)
    tokens = np.stack([np.full(n, 5.0), np.full(n, 105.0)], axis=1)
    prompts = tuple(PromptRow(str(i), "d", "d", str(i), []) for i in range(n))
    chosen = Outcomes(prompts, (Arm("m", "nothink"), Arm("m", "think")), correct, tokens, tokens - 5)
    said = np.stack([np.where(hard, 0.1, 0.95), np.full(n, 0.97)], axis=1)
    forecasts = Forecasts(
        said, tokens, np.zeros((n, len(DIALS))), np.zeros(n), np.zeros(n, bool), np.zeros(n), np.zeros(1)
    )
    found = promises.figures(chosen, forecasts, splits=50)
    assert found is not None and all(row["violations"] <= 0.05 for row in found)
    assert found[-1]["share_of_tokens"] < 0.7
    assert promises.figures(chosen.rows(np.arange(100)), forecasts, splits=2) is None
