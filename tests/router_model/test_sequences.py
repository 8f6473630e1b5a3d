"""Confidence sequences hold at every time at once, agree with themselves one by one and in columns, and stay narrow."""

from __future__ import annotations

import json
from math import exp, inf, log, log1p, sqrt

import numpy as np
import pytest
from scipy import optimize

from router_model.experiments import asymptotic, mixture
from router_model.experiments.difference import RunningDifference, Units
from router_model.experiments.mean import RunningMean
from router_model.experiments.mixture import BoundedSums
from tests.router_model.simulated_arms import Kind, units

SHARE = (0.0, 1.0)


def means_held(runs: int, n: int, looks: int, seed: int, bounded: bool) -> float:
    """The share of runs in which the interval of a mean holds the truth at every look."""
    rng, held = np.random.default_rng(seed), 0
    ends = np.unique(np.geomspace(1, n, looks).astype(int))
    for run in range(runs):
        if bounded:
            values, truth = (
                (rng.random(n) < 0.9).astype(float) if run % 2 else rng.beta(8, 2, n),
                (0.9, 0.8)[1 - run % 2],
            )
        else:
            values, truth = rng.lognormal(6, 0.8, n), exp(6 + 0.8**2 / 2)
        state, good = RunningMean.empty(SHARE if bounded else None), True
        for start, end in zip([0, *ends], ends, strict=False):
            state = state.extended(values[start:end])
            low, high = state.interval(0.05)
            good &= low <= truth <= high
        held += good
    return held / runs


def differences_held(
    runs: int, n: int, looks: int, seed: int, effect: float = 0.0, share: float = 0.5, kind: Kind = "right"
) -> float:
    rng, held = np.random.default_rng(seed), 0
    ends = np.unique(np.geomspace(1, n, looks).astype(int))
    for run in range(runs):
        seen = units(rng, n, effect, share, kind, ramp=run % 2 == 1)
        state, good = RunningDifference(SHARE if kind == "right" else None), True
        for start, end in zip([0, *ends], ends, strict=False):
            state = state.extended(seen.part(start, end))
            low, high = state.interval(0.05)
            good &= low <= effect <= high
        held += good
    return held / runs


def test_intervals_hold_at_every_look() -> None:
    assert means_held(100, 1000, 10, 1, bounded=True) >= 0.94
    assert means_held(100, 1000, 10, 2, bounded=False) >= 0.9
    assert differences_held(60, 1000, 8, 3) >= 0.94
    assert differences_held(60, 1000, 8, 4, effect=0.08, share=0.3) >= 0.94
    assert differences_held(60, 1000, 8, 5, effect=50, kind="tokens") >= 0.9


@pytest.mark.long
@pytest.mark.parametrize("bounded", [True, False])
def test_means_hold_in_a_thousand_runs(bounded: bool) -> None:
    share = means_held(1000, 5000, 40, 11, bounded)
    print(f"means held at every of 40 looks, bounded {bounded}: {share:.3f}")
    assert share >= 0.94


@pytest.mark.long
@pytest.mark.parametrize(
    ("effect", "share", "kind"), [(0.0, 0.5, "right"), (0.08, 0.2, "right"), (0.0, 0.5, "tokens"), (50, 0.2, "tokens")]
)
def test_differences_hold_in_a_thousand_runs(effect: float, share: float, kind: Kind) -> None:
    held = differences_held(1000, 4000, 25, 12, effect, share, kind)
    print(f"differences held at every of 25 looks, {effect} {share} {kind}: {held:.3f}")
    assert held >= 0.94


def test_one_by_one_is_what_columns_give_and_a_state_survives_json() -> None:
    rng = np.random.default_rng(6)
    for kind in ("right", "tokens"):
        seen = units(rng, 60, 0.05, 0.4, kind, ramp=True)
        seen.forecast[::7] = np.nan
        bounds = SHARE if kind == "right" else None
        one, mean = RunningDifference(bounds), RunningMean.empty(bounds)
        for here, share, value, forecast in zip(*(column.tolist() for column in seen), strict=True):
            one = one.added(here, share, value, None if np.isnan(forecast) else forecast)
            mean = mean.added(value)
        whole, whole_mean = RunningDifference.of(seen, bounds), RunningMean.empty(bounds).extended(seen.value)
        assert one.n == whole.n and one.estimate == pytest.approx(whole.estimate)
        assert one.interval(0.1) == pytest.approx(whole.interval(0.1))
        assert mean.interval(0.1) == pytest.approx(whole_mean.interval(0.1))
        assert RunningDifference.of_state(json.loads(json.dumps(one.state()))) == one
        assert RunningMean.of_state(json.loads(json.dumps(mean.state()))) == mean


def test_an_estimate_is_the_difference_of_the_means_less_what_forecasts_explain() -> None:
    rng = np.random.default_rng(9)
    seen = units(rng, 200, 0.05, 0.4, "right")
    plain = seen._replace(forecast=np.full(200, np.nan))
    means = [seen.value[here].mean() for here in (seen.in_arm, ~seen.in_arm)]
    assert RunningDifference.of(plain, SHARE).estimate == pytest.approx(means[0] - means[1])
    assert RunningDifference.of(plain._replace(value=np.zeros(200)), SHARE).estimate == 0.0
    forecast = rng.random(200)
    explained = seen._replace(value=forecast, forecast=forecast)
    assert abs(RunningDifference.of(explained, SHARE).estimate) < 0.3 * abs(
        forecast[seen.in_arm].mean() - forecast[~seen.in_arm].mean()
    )
    ramped = seen._replace(share=np.where(np.arange(200) < 100, 0.4, 0.3))
    found = RunningDifference.of(ramped, SHARE)
    assert found.estimate == found.scaled.mean


def test_the_mixture_is_its_definition() -> None:
    """Against the supermartingale written out value by value, and the interval against a root finder of SciPy."""
    rng = np.random.default_rng(8)
    values = rng.random(50)
    state = RunningMean.empty(SHARE).extended(values)
    bets = [0.8 * 1.7**-k for k in range(20)]
    weights = np.array([(k + 2) ** -1.4 for k in range(20)])

    def capital(mean: float, sign: float) -> float:
        logs = [0.0] * 20
        for i, value in enumerate(values):
            centre = (0.5 + values[:i].sum()) / (1 + i)
            for k, bet in enumerate(bets):
                logs[k] += bet * sign * (value - mean) + (log1p(-bet) + bet) * (value - centre) ** 2
        return float((weights / weights.sum() * np.exp(logs)).sum())

    for mean, sign in ((0.3, 1.0), (0.6, -1.0), (0.5, 1.0)):
        assert mixture.evidence([state.bounded], mean, sign) == pytest.approx(log(capital(mean, sign)))
    low, high = state.interval(0.05)
    assert low == pytest.approx(optimize.brentq(lambda m: log(capital(m, 1)) - log(40), 0, 0.5), abs=1e-8)
    assert high == pytest.approx(optimize.brentq(lambda m: log(capital(m, -1)) - log(40), 0.5, 1), abs=1e-8)
    # A fair game: over both values of a coin, each bet's expected capital is at most 1, wherever the centre is.
    for chance, centre in ((0.1, 0.5), (0.5, 0.0), (0.9, 1.0), (0.7, 0.7)):
        expected = sum(
            p * exp(mixture.evidence([BoundedSums(1.0).added(x, centre)], chance, 1.0))
            for x, p in ((1.0, chance), (0.0, 1 - chance))
        )
        assert expected <= 1 + 1e-12


def test_a_single_bet_is_what_another_library_gives() -> None:
    """`confseq.predmix.predmix_lower_cs` of confseq 0.0.11 at 0.025, with our centres and a bet of 0.4: 0.285589."""
    values = np.round(0.5 + 0.5 * np.sin(np.arange(1, 51) * 1.7), 3)
    _, n, total, squares = RunningMean.empty(SHARE).extended(values).bounded
    psi = -log1p(-0.4) - 0.4
    assert (0.4 * total - psi * squares - log(1 / 0.025)) / (0.4 * n) == pytest.approx(0.28558918863842997)


def test_the_asymptotic_radius_is_the_published_one() -> None:
    """Waudby-Smith et al. (2024): theorem 2.2; rho makes the interval narrowest at the number asked for."""
    n, alpha, rho2 = 500, 0.05, (-2 * log(0.05) + log(1 - 2 * log(0.05))) / 1000
    expected = 3 * sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * log(sqrt(n * rho2 + 1) / alpha))
    assert asymptotic.radius(n, 3, alpha) == pytest.approx(expected)
    best = optimize.minimize_scalar(
        lambda at: asymptotic.radius(2000, 1, 0.05, narrowest_at=round(at)), bounds=(500, 8000), method="bounded"
    )
    assert best.x == pytest.approx(2000, rel=0.1)
    assert asymptotic.radius(10, 1, 0.05) == inf


def test_intervals_are_narrow() -> None:
    """Half-widths in standard deviations / sqrt(n): one look alone would have 1.96."""
    rng = np.random.default_rng(9)
    for n, most in ((500, 4.2), (5000, 3.9), (50_000, 3.8)):
        values = (rng.random(n) < 0.7).astype(float)
        low, high = RunningMean.empty(SHARE).extended(values).interval(0.05)
        assert (high - low) / 2 * sqrt(n) / values.std() < most
    seen = units(rng, 4000)
    with_forecast = RunningDifference.of(seen, SHARE).interval(0.05)
    without = RunningDifference.of(seen._replace(forecast=np.full(4000, np.nan)), SHARE).interval(0.05)
    tokens = units(rng, 4000, kind="tokens")
    widths = [
        float(np.subtract(*RunningDifference.of(one, None).interval(0.05)))
        for one in (tokens, tokens._replace(forecast=np.full(4000, np.nan)))
    ]
    assert np.diff(with_forecast)[0] < 0.96 * np.diff(without)[0], "a forecast takes out of the variance"
    assert widths[0] / widths[1] < 0.75


def test_pairs_near_zero_have_the_narrower_scale() -> None:
    rng = np.random.default_rng(10)
    values = rng.choice([-1.0, 0.0, 1.0], 2000, p=[0.04, 0.9, 0.06])
    low, high = RunningMean.of_differences(SHARE).extended(values).interval(0.05)
    assert low < 0.02 < high and (high - low) / 2 < 4.3 * values.std() / sqrt(2000)


def test_bad_values_are_refused() -> None:
    good = units(np.random.default_rng(0), 30)
    with pytest.raises(ValueError, match="not within 0 and 1"):
        RunningMean.empty(SHARE).added(1.5)
    with pytest.raises(ValueError, match="finite"):
        RunningMean.empty(None).added(float("nan"))
    with pytest.raises(ValueError, match="upper"):
        RunningMean.empty((1.0, 1.0))
    with pytest.raises(ValueError, match="share"):
        RunningDifference.of(good._replace(share=np.ones(30)), SHARE)
    with pytest.raises(ValueError, match="finite"):
        RunningDifference(None).added(True, 0.5, inf)
    for alpha in (0.0, 2.0):
        with pytest.raises(ValueError, match="level"):
            RunningMean.empty(SHARE).interval(alpha)
        with pytest.raises(ValueError, match="level"):
            RunningMean.empty(None).interval(alpha)
    empty = RunningDifference(SHARE)
    assert empty.interval(0.05) == (-1, 1) and RunningDifference(None).interval(0.05) == (-inf, inf)
    assert empty.extended(Units(*(column[:0] for column in good))) == empty
    assert RunningMean.empty(SHARE).interval(0.05) == SHARE
