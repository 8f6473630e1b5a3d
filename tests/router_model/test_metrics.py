"""Definitions of metrics, checked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from router_model.evaluation import metrics

WEAK = np.array([0.0, 0.0, 1.0, 1.0])
STRONG = np.array([1.0, 1.0, 1.0, 1.0])


def test_a_perfect_ranking_gains_first() -> None:
    score = np.array([4.0, 3.0, 2.0, 1.0])
    x, quality = metrics.curve(score, WEAK, STRONG)
    assert x.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert quality.tolist() == [0.5, 0.75, 1, 1, 1]
    # Trapezoids: (0.625 + 0.875 + 1 + 1) / 4 = 0.875; (0.875 - 0.5) / 0.5.
    assert metrics.apgr(score, WEAK, STRONG) == pytest.approx(0.75)
    assert metrics.apgr(-score, WEAK, STRONG) == pytest.approx(0.25)


def test_equal_scores_are_random_order() -> None:
    assert metrics.apgr(np.zeros(4), WEAK, STRONG) == pytest.approx(0.5)
    assert metrics.apgr(np.full(4, np.inf), WEAK, STRONG) == pytest.approx(0.5)


def test_no_gap_no_apgr() -> None:
    assert math.isnan(metrics.apgr(np.arange(4.0), STRONG, WEAK))


def test_token_apgr_weighs_the_axis_by_tokens() -> None:
    cost = np.array([1.0, 1.0, 3.0, 3.0])
    score = np.array([4.0, 3.0, 2.0, 1.0])
    # Accuracy .5, .75, 1, 1, 1 at 0, 1/8, 2/8, 5/8, 8/8 of the tokens: area .078125 + .109375 + .75.
    assert metrics.token_apgr(score, WEAK, STRONG, cost) == pytest.approx((0.9375 - 0.5) / 0.5)
    assert metrics.token_apgr(np.zeros(4), WEAK, STRONG, cost) == pytest.approx(0.5)


def test_cpt_interpolates() -> None:
    score = np.array([4.0, 3.0, 2.0, 1.0])
    assert metrics.cpt(score, WEAK, STRONG, 0.5) == pytest.approx(0.25)
    assert metrics.cpt(score, WEAK, STRONG, 0.8) == pytest.approx(0.4)
    assert metrics.cpt(np.zeros(4), WEAK, STRONG, 0.8) == pytest.approx(0.8)


def test_recovered_area() -> None:
    assert metrics.recovered(0.6, 0.9) == pytest.approx(0.25)
    assert metrics.recovered(0.5, 0.9) == 0
    assert math.isnan(metrics.recovered(0.6, 0.5))


def test_ece_uses_fifteen_equal_bins() -> None:
    confidence = np.array([0.0, 0.05, 0.95, 1.0])
    correct = np.array([0.0, 1.0, 1.0, 1.0])
    # First bin: said .025, was .5; last bin: said .975, was 1; each holds half.
    assert metrics.ece(confidence, correct) == pytest.approx(0.5 * 0.475 + 0.5 * 0.025)
    assert metrics.ece(np.array([1 / 15 - 1e-9, 1 / 15 + 1e-9]), np.array([0.0, 0.0])) == pytest.approx(1 / 15)


def test_brier_and_auc() -> None:
    assert metrics.brier(np.array([0.0, 0.5]), np.array([1.0, 1.0])) == pytest.approx(0.625)
    label = np.array([True, False, True, False])
    assert metrics.auc(np.array([0.9, 0.1, 0.5, 0.5]), label) == pytest.approx(3.5 / 4)
    assert math.isnan(metrics.auc(np.array([0.9]), np.array([True])))


def test_bootstrap_holds_the_estimate() -> None:
    rng = np.random.default_rng(0)
    weak = (rng.random(400) < 0.5).astype(float)
    score = rng.random(400) - weak
    low, high = metrics.bootstrap(score, weak, np.ones(400), draws=200)
    assert low < metrics.apgr(score, weak, np.ones(400)) < high
    assert (low, high) == metrics.bootstrap(score, weak, np.ones(400), draws=200)


def test_upper_hull_drops_what_mixing_beats() -> None:
    x, y = metrics.upper_hull(np.array([0.0, 1.0, 2.0, 4.0, 5.0]), np.array([0.0, 0.1, 0.8, 1.0, 0.9]))
    assert x.tolist() == [0, 2, 4]
    assert y.tolist() == [0, 0.8, 1]


def test_capped_area_is_half_for_a_straight_line() -> None:
    x = np.array([-1.0, 0.5, 3.0])
    assert metrics.capped_area(x, x / 2, (0.0, 0.0), (2.0, 1.0)) == pytest.approx(0.5)
