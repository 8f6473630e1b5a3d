"""Sample ratio: Pearson's p is SciPy's, the always-valid one is that of another library and rarely small by chance."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
from scipy import stats

from router_model.experiments.sample_ratio import always_valid_p, chi_squared_p, chi_squared_tail, log_evidence


def test_pearsons_p_is_scipys() -> None:
    for counts, weights in (([510, 490], [1, 1]), ([30, 60, 20], [2, 5, 1]), ([9, 1, 1, 9], [1, 1, 1, 1])):
        expected = np.array(weights) / sum(weights) * sum(counts)
        assert chi_squared_p([(counts, weights)]) == pytest.approx(stats.chisquare(counts, expected).pvalue)
    for x, freedom in ((0.3, 1), (4.0, 2), (50.0, 3), (10.0, 9), (400.0, 400)):
        assert chi_squared_tail(x, freedom) == pytest.approx(stats.chi2.sf(x, freedom))
    assert chi_squared_p([([0, 0], [1, 1])]) == 1 and chi_squared_p([]) == 1


def test_evidence_is_the_bayes_factor_of_the_counts() -> None:
    counts, shares = [60, 40], [0.5, 0.5]
    ours = stats.dirichlet_multinomial.logpmf(counts, [50, 50], 100) - stats.multinomial.logpmf(counts, 100, shares)
    assert log_evidence(counts, shares) == pytest.approx(ours)
    assert always_valid_p([(counts, shares)]) == pytest.approx(min(1, exp(-ours)))
    assert always_valid_p([([5000, 4000], [1, 1])]) < 1e-20 and always_valid_p([([0, 0], [1, 1])]) == 1


def test_evidence_is_what_another_library_gives() -> None:
    """`savvi.multinomial.Multinomial` of savvi 0.3.1, at its own concentration of 100."""
    for counts, shares, odds in (
        ([60, 40], [0.5, 0.5], 1.9326494200422262),
        ([300, 620, 180], [0.25, 0.625, 0.125], 1159.5615192236853),
        ([1000, 1100], [0.5, 0.5], 2.068114724958767),
    ):
        assert exp(log_evidence(counts, shares)) == pytest.approx(odds)


def test_looking_after_every_unit_rarely_alarms() -> None:
    rng, alarms = np.random.default_rng(3), 0
    for _ in range(150):
        first = np.cumsum(rng.random(2000) < 0.3)
        alarms += any(
            always_valid_p([([int(first[n - 1]), n - int(first[n - 1])], [0.3, 0.7])]) < 0.05
            for n in range(20, 2001, 20)
        )
    assert alarms <= 0.05 * 150


def test_what_cannot_be_weighed_is_refused() -> None:
    for counts, weights in (([1], [1, 1]), ([], []), ([1, 1], [1, 0])):
        with pytest.raises(ValueError, match="weight"):
            chi_squared_p([(counts, weights)])
