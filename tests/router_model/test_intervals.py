"""Intervals of proportions, against published figures and against what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from router_model.evaluation.intervals import paired, wilson


def test_wilson_is_newcombes_table() -> None:
    """Newcombe (1998), table I, method 3."""
    for r, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(r / n, n) == pytest.approx((low, high), abs=5e-5)


def test_all_right_is_not_certainty() -> None:
    low, high = wilson(1.0, 60)
    assert (round(low, 3), high) == (0.940, 1.0)
    assert wilson(0.0, 60) == pytest.approx((0.0, 1 - low))
    assert wilson(0.5, 0) == (0.0, 1.0)


def test_paired_differences_hold_as_often_as_they_promise() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(1000):
        first = rng.random(60) < 0.9
        second = np.where(rng.random(60) < 0.8, first, rng.random(60) < 0.97)
        low, high = paired(zip(first.tolist(), second.tolist(), strict=True))
        held += low <= 0.2 * (0.97 - 0.9) <= high
    assert held >= 940
    low, high = paired([(1.0, 1.0)] * 60)
    assert low < -0.05 and high > 0.05, "sixty that agree do not prove that all do"
