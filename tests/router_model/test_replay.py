"""Replay: estimates of other policies from logged decisions hold the truth, and say when they cannot."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import NormalDist
from time import process_time

import numpy as np
import pytest

from router_model.offpolicy import price_sets, propensity
from router_model.offpolicy.estimators import ESTIMATORS, Sample, interval
from router_model.offpolicy.floors import effective_size, refusal
from router_model.offpolicy.log_columns import Forecasts, Prices, Probes
from router_model.offpolicy.logged import Logged
from router_model.offpolicy.page import frontier, page
from router_model.offpolicy.replay import dials, replay
from router_model.offpolicy.shadow import constant_policies
from router_model.offpolicy.spread import FIXED, Spread
from router_model.offpolicy.target import DistributionTarget, Modelled, Options, PricedTarget
from tests.router_model.simulated_log import SECOND, decisions, log, requests, truths

BASE, EXPLORE = 1e-4, Spread.even(0.6, 1.0)
LIMITED = Spread.of(0.8, (-3.0, -2.0, -2.0, -0.2, 0.0, 0.1, 0.4, 0.5, 0.5))
PRICES = (5e-5, 7e-5, 1e-4, 1.4e-4, 2e-4)
# What exploration may lose on a row in logs whose coverage is measured.
MOST_LOSS = 0.13


def test_price_sets_are_those_of_single_requests() -> None:
    rng = np.random.default_rng(1)
    seen = requests(rng, 200)
    logged = log(rng, seen, BASE, EXPLORE)
    second = logged.prices.second
    values, slopes = logged.forecasts.lines(second)
    low, high = price_sets.choices(values, slopes)
    asked = logged.own_masses.ask
    for row in range(200):
        mine = sorted((low[row, e], high[row, e], e) for e in range(4) if low[row, e] < high[row, e])
        theirs = propensity.choice_intervals(values[row].tolist(), slopes[row].tolist())
        assert mine == [(one.low, one.high, one.effort) for one in theirs]
        if not seen.possible[row] or seen.always[row]:
            assert asked[row] == pytest.approx(float(seen.always[row]))
            continue
        asking = propensity.ask_intervals(
            values[row, 1:].tolist(),
            slopes[row, 1:].tolist(),
            seen.outcomes[row].tolist(),
            -SECOND * float(logged.forecasts.seconds[row, 0]) - float(logged.forecasts.other[row, 0]),
            float(slopes[row, 0]),
        )
        assert asked[row] == pytest.approx(propensity.probability(asking, BASE, EXPLORE), abs=1e-12)
    edges = np.array([0.0, 1e-5, 1e-4, 3.0, np.inf, 2e-4, 1e-4 * np.exp(-2.0), 1.5e-4])
    for base, spread in ((1e-4, EXPLORE), (1e-4, FIXED), (0.0, EXPLORE), (1e-4, LIMITED)):
        prices = Prices.of(7, base, 0.0, spread)
        found = price_sets.mass(edges[:-1], edges[1:], prices.token, prices.spreads, np.arange(7))
        expected = [
            propensity.mass(a, b, base, spread) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        ]
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("spread", "most_loss"), [(EXPLORE, np.inf), (LIMITED, 0.05), (EXPLORE, 0.01)])
def test_propensities_are_the_frequencies_of_the_decisions(spread: Spread, most_loss: float) -> None:
    """At draws that are spread evenly over the distribution."""
    rng, n, draws = np.random.default_rng(2), 400, 500
    seen = requests(rng, n)
    logged = log(rng, seen, BASE, spread, most_loss)
    same, base = np.zeros(n), np.full(n, BASE)
    for draw in range(draws):
        factor = spread.factor(NormalDist().inv_cdf((draw + 0.5) / draws))
        asked, chosen = decisions(seen, base * factor, base, most_loss)
        same += (asked == logged.probes.asked) & (chosen == logged.chosen)
    assert np.abs(same / draws - logged.propensity).max() < 0.01
    assert 0.3 < logged.probes.asked.mean() < 0.9 and 0.05 < (logged.propensity < 0.99).mean() < 0.9
    exact = PricedTarget(Prices.of(n, 5e-5, SECOND)).judge(logged).probability
    asked, chosen = decisions(seen, np.full(n, 5e-5))
    assert (exact == ((asked == logged.probes.asked) & (chosen == logged.chosen))).all(), "without chance: 0 or 1"


def coverage(
    logs: int, n: int, probes: bool, method: str = "dr", people: int = 30_000, mixed: bool = False
) -> dict[tuple[str, str], float]:
    """How often the interval of each target and metric holds the truth. `mixed`: half of the log is by another policy,
    at twice the price."""
    population = requests(np.random.default_rng(3), people, probes)
    rng = np.random.default_rng(4)
    truth = {f"{price:g}": truths(rng, population, price) for price in PRICES}
    served = np.where(np.arange(people) % 2, BASE, (1 + mixed) * BASE)
    truth["served"] = truths(rng, population, served, EXPLORE, draws=3, most_loss=MOST_LOSS)
    held: dict[tuple[str, str], list[bool]] = {}
    for _ in range(logs):
        base = np.where(np.arange(n) % 2, BASE, (1 + mixed) * BASE)
        logged = log(rng, requests(rng, n, probes), base, EXPLORE, MOST_LOSS)
        targets = {
            f"{price:g}": target for price, target in zip(PRICES, dials(logged, PRICES, float).values(), strict=True)
        }
        for one in replay(logged, targets | {"served": PricedTarget(logged.prices)}, method=method)["policies"]:
            if not one["refused"]:
                low, high = one["ci"]
                value = truth[one["name"]][("outcome", "total_tokens").index(one["metric"])]
                held.setdefault((one["name"], one["metric"]), []).append(low <= value <= high)
    return {key: float(np.mean(each)) for key, each in held.items()}


def test_intervals_hold_the_truth() -> None:
    for probes, method, mixed in (
        (True, "dr", True),
        (True, "snips", False),
        (False, "switch", False),
        (False, "ips", False),
    ):
        found = coverage(10, 800, probes, method, mixed=mixed)
        assert np.mean([*found.values()]) >= 0.9


@pytest.mark.long
@pytest.mark.parametrize(("probes", "mixed"), [(True, False), (False, False), (True, True)])
def test_intervals_hold_the_truth_in_94_percent_of_logs(probes: bool, mixed: bool) -> None:
    found = coverage(500, 1000, probes, people=400_000, mixed=mixed)
    print({key: round(share, 3) for key, share in found.items()}, "mean", np.mean([*found.values()]).round(4))
    # Each of twelve figures has a standard error of a point.
    assert np.mean([*found.values()]) >= 0.94 and min(found.values()) >= 0.91


def test_replay_is_stable_json_and_the_served_policy_is_its_own_mean() -> None:
    rng = np.random.default_rng(5)
    logged = log(rng, requests(rng, 3000), BASE, EXPLORE)
    logged = replace(logged, outcome=np.where(rng.random(3000) < 0.2, np.nan, logged.outcome))
    targets = {"served": PricedTarget(logged.prices)} | dials(logged, (0.4, 0.6), lambda x: 2e-4 * (1 - x))
    found = json.loads(json.dumps(replay(logged, targets, metrics=("outcome", "total_tokens", "latency_s"))))
    assert [one["name"] for one in found["policies"][::3]] == ["served", "dial-0.4", "dial-0.6"]
    for one in found["policies"]:
        assert {*one} == {"name", "metric", "estimate", "ci", "ess", "n", "method", "unseen", "refused"}
        assert one["ci"][0] < one["estimate"] < one["ci"][1] and one["refused"] is None
    known = ~np.isnan(logged.outcome)
    served, own = found["policies"][0], found["on_policy"]
    assert own["mean"] == pytest.approx(float(logged.outcome[known].mean())) and own["n"] == served["n"] == known.sum()
    assert served["ci"][0] < own["mean"] < served["ci"][1] and served["ess"] == pytest.approx(own["n"])
    cheap, dear = (one["estimate"] for one in found["policies"][4::3])
    assert cheap < dear, "a lower price buys more tokens"
    same = replay(logged, {"served": PricedTarget(logged.prices)}, method="ips")["policies"][0]
    assert same["estimate"] == pytest.approx(own["mean"]), "without a model it is the mean itself"


def test_what_the_log_cannot_show_is_refused_with_the_reason() -> None:
    rng = np.random.default_rng(6)
    seen = requests(rng, 1000)
    never = log(rng, seen, BASE, FIXED)
    found = replay(never, {"served": PricedTarget(never.prices)} | dials(never, (5e-5,), float))["policies"]
    assert found[0]["refused"] is None and found[0]["estimate"] is not None
    assert found[2]["estimate"] is None and "every propensity is 1" in found[2]["refused"]
    explored = log(rng, seen, BASE, EXPLORE)
    far, few = dials(explored, (1e-7,), float), log(rng, requests(rng, 60), BASE, EXPLORE)
    refused = replay(explored, far)["policies"][0]
    assert "has no example" in refused["refused"] or "worth only" in refused["refused"]
    assert refused["ci"] is None and refused["ess"] < 500
    assert "60 decisions" in replay(few, dials(few, (5e-5,), float))["policies"][0]["refused"]
    ones = np.ones(200)
    assert "worth only 1 " in str(refusal(np.array([1000.0] + [0.0] * 199), ones / 2, 0.0))
    assert effective_size(np.zeros(3)) == 0 and refusal(ones, ones, 0.0) is None
    wrong = explored.with_propensity(np.full(1000, 0.5))
    assert "do not follow" in replay(wrong, dials(wrong, (5e-5,), float))["policies"][0]["refused"]


def test_rows_without_a_price_bring_what_they_brought() -> None:
    rng = np.random.default_rng(7)
    logged = log(rng, requests(rng, 2000), BASE, EXPLORE)
    fixed = np.arange(2000) < 500
    named = replace(logged, fixed=fixed, propensity=np.where(fixed, 1.0, logged.propensity))
    judged = dials(named, (5e-5,), float)["dial-5e-05"].judge(named)
    assert (judged.probability[:500] == 1).all()
    only = replace(named, fixed=np.ones(2000, bool), propensity=np.ones(2000))
    found = replay(only, dials(only, (5e-5,), float))
    assert found["policies"][0]["estimate"] == pytest.approx(found["on_policy"]["mean"])


def test_any_distribution_over_efforts_is_a_policy() -> None:
    rng = np.random.default_rng(8)
    seen = requests(rng, 4000, probes=False)
    logged = log(rng, seen, BASE, EXPLORE)
    _, chosen = decisions(seen, np.full(4000, 1.4e-4))
    chances = np.zeros((4000, 4))
    chances[np.arange(4000), chosen] = 1.0
    by_table = replay(logged, {"t": DistributionTarget(chances)})["policies"]
    by_price = replay(logged, dials(logged, (1.4e-4,), float))["policies"]
    assert [one["estimate"] for one in by_table] == pytest.approx([one["estimate"] for one in by_price])
    for bad, says in ((chances[:5], "one probability"), (chances * 2, "sum to 1"), (chances - 1, "one probability")):
        with pytest.raises(ValueError, match=says):
            DistributionTarget(bad).judge(logged)
    probed = log(rng, requests(rng, 4000), BASE, EXPLORE)
    with pytest.raises(ValueError, match="probes"):
        DistributionTarget(chances).judge(probed)


def test_rows_of_a_unit_are_not_independent() -> None:
    rng = np.random.default_rng(9)
    scores = np.repeat(rng.random(200), 10)
    apart = interval(scores, np.arange(2000), 0.05, 2000)
    together = interval(scores, np.repeat(np.arange(200), 10), 0.05, 2000)
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(10**0.5, rel=0.1)
    logged = log(rng, requests(rng, 300), BASE, EXPLORE)
    units = replace(logged, unit=[i // 3 for i in range(300)])
    assert replay(units, {"own": PricedTarget(units.prices)})["policies"][0]["n"] == 300
    assert interval(np.ones(3), np.arange(3), 0.05, 3) == (1, 1, 1)
    assert interval(np.ones(3), np.zeros(3, np.int64), 0.05, 3)[1:] == (-np.inf, np.inf)


def test_switching_trades_bias_for_variance_and_says_so() -> None:
    """One row in ten thousand is a path that the policy takes always and the log once in a thousand times."""
    rng, n = np.random.default_rng(10), 2000
    rare = np.zeros(n, bool)
    rare[:2] = True
    options = Options(np.ones((n, 1)), np.where(rare, 1e-3, 1.0)[:, None], np.ones((n, 1)))
    seen = (rng.random(n) < 0.6).astype(float)
    model = Modelled(np.full(n, 0.6), np.zeros(n), np.full(n, 0.6))
    sample = Sample(np.where(rare, 1000.0, 1.0), seen, model, np.arange(n), options)
    dr, switched = (ESTIMATORS[name](sample, 0.05) for name in ("dr", "switch"))
    assert switched.high - switched.low < (dr.high - dr.low) / 5
    assert switched.low < 0.6 < switched.high
    plain = interval(0.6 + np.where(rare, 0.0, 1.0) * (seen - 0.6), np.arange(n), 0.05, sample.ess)
    assert switched.high - plain.high == pytest.approx(2 / n), "the bias that dropping two paths may bring"


def test_bad_logs_are_refused() -> None:
    rng = np.random.default_rng(11)
    good = log(rng, requests(rng, 20), BASE, EXPLORE)
    nan = np.full(20, np.nan)
    for fields, says in (
        ({"chosen": good.chosen[:5]}, "length"),
        ({"unit": ["a"]}, "length"),
        ({"chosen": np.full(20, 4)}, "none of the efforts"),
        ({"forecasts": good.forecasts._replace(p_correct=good.forecasts.p_correct * np.nan)}, "without a forecast"),
        ({"propensity": np.zeros(20)}, "propensity"),
        ({"propensity": nan}, "propensity"),
        ({"outcome": np.full(20, 1.5)}, "outcome"),
        ({"probes": Probes.none(20, 4)._replace(asked=np.ones(20, bool))}, "none was possible"),
    ):
        with pytest.raises(ValueError, match=says):
            replace(good, **fields)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="finite"):
        Prices.of(20, -1.0)
    for arguments, says in (
        ({"method": "luck"}, "luck"),
        ({"metrics": ("luck",)}, "luck"),
        ({"level": 0.0}, "level"),
    ):
        with pytest.raises(ValueError, match=says):
            replay(good, {}, **arguments)  # type: ignore[arg-type]
    empty = Logged(
        Forecasts._make(each[:0] for each in good.forecasts),
        Probes.none(0, 4),
        Prices.of(0, 1.0),
        *(each[:0] for each in (good.chosen, good.fixed, nan, nan, nan, nan)),
    )
    assert replay(empty, {})["on_policy"] == {"mean": None, "ci": None, "n": 0}


@pytest.mark.long
def test_a_hundred_thousand_rows_take_seconds() -> None:
    rng = np.random.default_rng(12)
    logged = log(rng, requests(rng, 100_000), BASE, EXPLORE)
    fresh, start = replace(logged), process_time()
    found = replay(fresh, dials(fresh, np.geomspace(2e-5, 5e-4, 11).tolist(), float))
    seconds = process_time() - start
    print(f"11 dials by 2 metrics over 100,000 rows: {seconds:.1f} s of CPU")
    assert len(found["policies"]) == 22


def test_without_exploration_shadow_answers_show_constant_policies() -> None:
    rng = np.random.default_rng(13)
    right = (rng.random((900, 3)) < np.array([0.6, 0.7, 0.8])).astype(float)
    right[:, 1] = np.nan
    right[300:600, 2] = np.nan
    right[600:, 0] = np.where(rng.random(300) < 0.1, right[600:, 0], np.nan)
    found = constant_policies(("none", "low", "high"), {"outcome": right})
    assert [one["name"] for one in found] == ["always-none", "always-high"]
    both = ~np.isnan(right[:, [0, 2]]).any(axis=1)
    for one, place, truth in zip(found, (0, 2), (0.6, 0.8), strict=True):
        assert one["n"] == both.sum() and one["estimate"] == pytest.approx(right[both, place].mean())
        assert one["ci"][0] < truth < one["ci"][1] and one["method"] == "shadow"
    few = constant_policies(("none", "low", "high"), {"outcome": right[:50]})
    assert "50 requests" in few[0]["refused"] and few[0]["ci"] is None
    with pytest.raises(ValueError, match="one column"):
        constant_policies(("none",), {"outcome": right})


def test_the_page_draws_the_frontier_and_says_what_was_refused() -> None:
    rng = np.random.default_rng(14)
    logged = log(rng, requests(rng, 2000), BASE, EXPLORE)
    targets = dials(logged, (0.4, 0.6, 0.999), lambda x: 2e-4 * (1 - x))
    found = replay(logged, targets)
    drawn = frontier(found)
    assert drawn is not None and [point.name for point in drawn.points] == ["dial-0.4", "dial-0.6"]
    assert drawn.points[0].y > drawn.points[1].y, "more tokens bring more right answers, and up is less on a screen"
    text = page(found)
    assert "dial-0.999" in text and "has no example in the log" in text and text.count("<circle") == 2
    assert frontier({"policies": []}) is None and "<svg" not in page(found | {"policies": []})
