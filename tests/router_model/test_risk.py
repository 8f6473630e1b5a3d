"""The risk contract: bounds that are exact, and promises that are kept on splits they were not set on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from router_model.decision import exact_tests, risk
from router_model.decision.risk import Contract

PRICES = np.linspace(0, 1, 21)


def outcomes(n: int = 2000, worst: float = 0.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correctness and tokens at each price, and the reference: the dearer a token, the more is lost."""
    rng = np.random.default_rng(seed)
    reference = (rng.random(n) < 0.95).astype(float)
    luck = rng.random(n)
    correct = np.where(luck[:, None] < worst * PRICES, 0.0, reference[:, None])
    return correct, reference, np.repeat(100 * (1 - PRICES)[None], n, axis=0)


def test_tails_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        n = int(rng.integers(1, 3000))
        k, p = int(rng.integers(-1, n + 2)), float(rng.choice([0.0, 1.0, *rng.random(4), 0.01]))
        assert exact_tests.binomial(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), rel=1e-8, abs=1e-280)
        marked, drawn = int(rng.integers(0, n + 1)), int(rng.integers(0, n + 1))
        expected = stats.hypergeom.cdf(k, n, marked, drawn)
        assert exact_tests.hypergeometric(k, n, marked, drawn) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_clopper_pearson() -> None:
    assert exact_tests.upper_bound(0, 299, 0.05) == pytest.approx(1 - 0.05 ** (1 / 299))
    assert exact_tests.upper_bound(5, 5, 0.05) == 1.0
    for k, n in ((7, 500), (0, 1), (499, 500), (3, 7)):
        assert exact_tests.upper_bound(k, n, 0.05) == pytest.approx(stats.beta.ppf(0.95, k + 1, n - k))


def test_the_p_value_of_harm_agrees_with_the_bound() -> None:
    harmed = np.arange(500) < 4
    bound = exact_tests.upper_bound(4, 500, 0.05)
    assert risk.harm_p(harmed, Contract(bound + 1e-6)) <= 0.05 < risk.harm_p(harmed, Contract(bound - 1e-3))


def test_a_promise_on_a_horizon_asks_for_more_than_one_in_the_long_run() -> None:
    harmed = np.arange(500) < 3
    assert risk.harm_p(harmed, Contract(0.02, horizon=200)) > risk.harm_p(harmed, Contract(0.02))


def test_gains_count_where_losses_are_net() -> None:
    rng = np.random.default_rng(1)
    regret = rng.choice([1.0, -1.0, 0.0], p=[0.02, 0.03, 0.95], size=2000)
    contract = Contract(0.02)
    assert risk.regret_p(regret, contract) < 0.05 < risk.harm_p(regret > 0, contract)
    assert risk.regret_p(np.full(1500, 0.03), contract) == 1.0
    with pytest.raises(ValueError, match="horizon"):
        risk.regret_p(regret, Contract(0.02, horizon=100))


def test_the_first_price_that_fails_ends_the_trial() -> None:
    p_values = [0.0, 0.01, 0.2, 0.0]
    assert risk.dearest(p_values.__getitem__, 4, Contract(0.1)) == 1
    assert risk.dearest([0.5].__getitem__, 1, Contract(0.1)) is None


@pytest.mark.parametrize(("net", "horizon"), [(False, None), (False, 1000), (True, None)])
def test_promises_are_kept(net: bool, horizon: int | None) -> None:
    correct, reference, tokens = outcomes()
    contract = Contract(0.02, 0.95, horizon)
    found = risk.trial(correct, tokens, reference, np.full(len(reference), 100.0), PRICES, contract, 200, net)
    assert found.broken_in_the_long_run <= 0.05 and found.bought > 0.9 and found.tokens < 97
    if horizon:
        assert found.broken <= 0.05


def test_where_no_price_keeps_it_the_reference_is_taken() -> None:
    correct, reference, tokens = outcomes(n=100)
    found = risk.trial(correct, tokens, reference, np.full(100, 100.0), PRICES, Contract(0.01), 20)
    assert found.bought == found.broken == 0 and found.tokens == 100


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Contract(0.0)
    with pytest.raises(ValueError, match="rising prices"):
        risk.price_for(np.ones((5, 2)), np.ones(5), np.array([1.0, 0.0]), Contract(0.1))
