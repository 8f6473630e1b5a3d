"""Pairs taken together with other units hold at every look, and what a forecast of the default arm takes out."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from router_model.experiments.combined import CombinedDifference, NarrowerDifference
from router_model.experiments.difference import RunningDifference, Units
from router_model.experiments.mean import RunningMean
from router_model.model import predict
from tests.router_model.simulated_arms import Kind

F64 = NDArray[np.float64]
SHARE = (0.0, 1.0)
COLLECTED = Path(__file__).resolve().parents[3] / "shared" / "data" / "real_effort_ladder.parquet"


class Traffic(NamedTuple):
    """Units of two arms with the forecast of one, which of them have a pair, and its difference; columns [units]."""

    units: Units
    is_paired: NDArray[np.bool_]
    difference: F64


def traffic(rng: np.random.Generator, n: int, effect: float, pairs: float, kind: Kind) -> Traffic:
    """Answers of both arms to one request resemble each other, as they do where the same model answers."""
    in_arm, is_paired = rng.random(n) < 0.4, rng.random(n) < pairs
    if kind == "right":
        forecast = 0.1 + 0.7 * rng.beta(2, 1, n)
        luck = rng.random(n)
        other = np.where(rng.random(n) < 0.8, luck, rng.random(n))
        against, ours = (luck < forecast).astype(float), (other < forecast + effect).astype(float)
    else:
        forecast = rng.lognormal(6, 0.6, n)
        common = forecast * rng.lognormal(0.1, 0.3, n)
        against, ours = (common * rng.lognormal(-0.02, 0.2, n) for _ in range(2))
        ours = ours + effect
    value = np.where(in_arm, ours, against)
    return Traffic(Units(in_arm, np.full(n, 0.4), value, forecast), is_paired, ours - against)


def held(runs: int, n: int, looks: int, seed: int, effect: float, pairs: float, kind: Kind) -> tuple[float, float]:
    """The share of runs in which the interval held the truth at every look; how wide it was, beside without pairs."""
    rng, good, widths = np.random.default_rng(seed), 0, []
    bounds = SHARE if kind == "right" else None
    ends = np.unique(np.geomspace(20, n, looks).astype(int))
    for _ in range(runs):
        seen, fine, begin = traffic(rng, n, effect, pairs, kind), True, 0
        mean, apart = RunningMean.of_differences(bounds), RunningDifference(bounds)
        for end in ends.tolist():
            here = seen.is_paired[begin:end]
            mean = mean.extended(seen.difference[begin:end][here])
            apart = apart.extended(Units(*(column[~here] for column in seen.units.part(begin, end))))
            low, high = CombinedDifference(mean, apart).interval(0.05)
            fine, begin = fine and low <= effect <= high, end
        good += fine
        alone = RunningDifference.of(seen.units, bounds).interval(0.05)
        widths.append((high - low) / (alone[1] - alone[0]))
    return good / runs, float(np.mean(widths))


CASES: list[tuple[float, float, Kind]] = [(0.0, 0.3, "right"), (0.08, 0.05, "right"), (0.0, 0.3, "tokens")]


def test_pairs_and_other_units_hold_together() -> None:
    for effect, pairs, kind in CASES:
        share, width = held(25, 800, 8, 5, effect, pairs, kind)
        assert share >= (0.94 if kind == "right" else 0.9)
        assert width < (0.95 if pairs > 0.1 else 1.05), (kind, pairs, width)


@pytest.mark.long
@pytest.mark.parametrize(("effect", "pairs", "kind"), CASES)
def test_they_hold_in_a_thousand_runs(effect: float, pairs: float, kind: Kind) -> None:
    share, width = held(1000, 2000, 12, 21, effect, pairs, kind)
    print(f"{kind}, {pairs:.0%} in pairs, effect {effect}: held {share:.3f} at 12 looks, width {width:.2f} of no pairs")
    assert share >= 0.94


def test_one_kind_alone_is_what_it_is_by_itself() -> None:
    rng = np.random.default_rng(3)
    for kind in ("right", "tokens"):
        bounds = SHARE if kind == "right" else None
        seen = traffic(rng, 400, 0.0, 0.5, kind)
        mean = RunningMean.of_differences(bounds).extended(seen.difference)
        apart = RunningDifference.of(seen.units, bounds)
        only_pairs = CombinedDifference(mean, RunningDifference(bounds))
        assert only_pairs.interval(0.05) == pytest.approx(mean.interval(0.05)) and only_pairs.method == "paired"
        assert only_pairs.one_sided(0.05, 1.0) == pytest.approx(mean.one_sided(0.05, 1.0))
        only_units = CombinedDifference(RunningMean.of_differences(bounds), apart)
        assert only_units.interval(0.05) == pytest.approx(apart.interval(0.05))
        assert only_units.one_sided(0.05, -1.0) == pytest.approx(apart.one_sided(0.05, -1.0))
        assert only_units.estimate == pytest.approx(apart.estimate) and only_units.n == apart.n
        narrower = NarrowerDifference(mean, apart)
        assert narrower.method == "paired" and narrower.interval(0.05) == mean.interval(0.025)
        assert narrower.one_sided(0.05, 1.0) == min(mean.one_sided(0.025, 1.0), apart.one_sided(0.025, 1.0))
        few = NarrowerDifference(RunningMean.of_differences(bounds).extended(seen.difference[:3]), apart)
        assert (few.method, few.n) == ("units", apart.n) and few.interval(0.05) == apart.interval(0.025)


def removed(default: F64, other: F64, forecast: F64, rng: np.random.Generator, n: int) -> float:
    """The share of the variance of scores that a forecast of the default arm takes out, over n units."""
    row, in_arm = rng.integers(0, len(default), n), rng.random(n) < 0.5
    value = np.where(in_arm, other[row], default[row])
    with_it, without = (
        RunningDifference.of(Units(in_arm, np.full(n, 0.5), value, x), SHARE)
        for x in (forecast[row], np.full(n, np.nan))
    )
    (low, high), wide = with_it.interval(0.05), without.interval(0.05)
    assert high - low < 1.02 * (wide[1] - wide[0]), "a forecast that says nothing costs nothing"
    return 1 - with_it.scaled.squares / without.scaled.squares


def test_a_forecast_of_the_default_arm_narrows_intervals_on_the_shipped_artifact() -> None:
    """Merged against split at each effort, by forecasts of routers that were not trained on the prompt."""
    rng = np.random.default_rng(4)
    predictor = predict.load("tiny")
    held_out, heads = predictor.artifact.held_out, predictor.heads
    of = {(head.model, head.think, head.budget): place for place, head in enumerate(heads)}
    pairs = [(of["tiny", False, 0], of["tiny-instruct", False, 0])] if ("tiny", False, 0) in of else []
    pairs += [(of["tiny", True, budget], of["tiny-thinking", True, budget]) for budget in (64, 128, None)]
    shares = []
    for default, other in pairs:
        correct, forecast = held_out.correct.astype(float), held_out.before.p_correct.astype(float)
        known = ~np.isnan(correct[:, [default, other]]).any(axis=1)
        columns = correct[known, default], correct[known, other], forecast[known, default]
        shares.append(removed(*columns, rng, 4000))
        print(f"{heads[default].budget}: {shares[-1]:.1%} of the variance")
    assert max(shares) > 0.3 and min(shares) > -0.01, "where almost every answer is right, little can be explained"


def features(prompt: str) -> list[float]:
    """What a text of a propositional problem says about its size."""
    words = re.findall(r"\w+", prompt)
    return [1.0, len(prompt) / 1000, len(words) / 100, prompt.count("\n") / 10, len(set(words)) / 100]


@pytest.mark.long
def test_a_forecast_from_the_text_on_collected_outcomes() -> None:
    """Neighbouring levels of thought of real models; ridge regression of being right on five counts, in five folds."""
    if not COLLECTED.exists():
        pytest.skip("collected outcomes are no part of the product")
    from pyarrow import parquet

    right: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    text: dict[str, str] = {}
    for row in parquet.read_table(COLLECTED).to_pylist():
        right[row["model"], f"{row['mode']} {row['budget']}"][row["prompt_id"]] = row["correct"]
        text[row["prompt_id"]] = str(row["prompt"])
    rng, levels = np.random.default_rng(6), defaultdict[str, list[str]](list)
    for model, level in right:
        levels[model].append(level)
    for model, names in levels.items():
        first, last = right[model, names[0]], right[model, names[-1]]
        common = sorted(first.keys() & last.keys())
        x = np.array([features(text[prompt]) for prompt in common])
        y = np.array([first[prompt] for prompt in common], float)
        fold, forecast = np.arange(len(common)) % 5, np.zeros(len(common))
        for one in range(5):
            train = fold != one
            weights = np.linalg.solve(x[train].T @ x[train] + 0.1 * np.eye(x.shape[1]), x[train].T @ y[train])
            forecast[~train] = x[~train] @ weights
        other = np.array([last[prompt] for prompt in common], float)
        print(f"{model}, {names[0]} and {names[-1]}: {removed(y, other, forecast, rng, 4000):.1%} of the variance")
