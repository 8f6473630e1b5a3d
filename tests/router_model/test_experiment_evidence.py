"""What pairs and exploration bring on outcomes of real models: the shipped artifact's, and collected ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from router_model.decision.holdout import HoldoutTrial
from router_model.experiments.difference import RunningDifference, Units
from router_model.experiments.mean import RunningMean
from router_model.model import predict

F64 = NDArray[np.float64]
COLLECTED = Path(__file__).resolve().parents[3] / "shared" / "data" / "real_effort_ladder.parquet"
NORMAL = NormalDist()


def needed(first: F64, second: F64, width: float, rng: np.random.Generator, paired: bool) -> int:
    """How many requests, drawn with replacement, until the interval of second - first is at most so wide."""
    n = 100
    while True:
        row, in_arm = rng.integers(0, len(first), n), rng.random(n) < 0.5
        if paired:
            found = RunningMean.of_differences((0.0, 1.0)).extended(second[row] - first[row]).interval(0.05)
        else:
            value = np.where(in_arm, second[row], first[row])
            units = Units(in_arm, np.full(n, 0.5), value, np.full(n, np.nan))
            found = RunningDifference.of(units, (0.0, 1.0)).interval(0.05)
        if found[1] - found[0] <= width:
            return n
        n = int(n * 1.05)


def arms_of_the_artifact() -> Iterator[tuple[str, F64, F64]]:
    """The same effort of the merged model and of the split pair."""
    trial = predict.load("tiny").trial()
    heads = predict.load("tiny").heads
    where = {
        (heads[head].model, heads[head].budget): place for place, head in enumerate(trial.efforts) if heads[head].think
    }
    for budget in (64, 128, None):
        yield (
            f"budget {budget}",
            trial.correct[:, where["tiny", budget]],
            trial.correct[:, where["tiny-thinking", budget]],
        )


def collected_arms() -> Iterator[tuple[str, F64, F64]]:
    """Neighbouring levels of thought of one model on the same problems."""
    from pyarrow import parquet

    table = parquet.read_table(COLLECTED).to_pylist()
    right: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in table:
        right[row["model"], f"{row['mode']} {row['budget']}"][row["prompt_id"]] = row["correct"]
    models: dict[str, list[str]] = defaultdict(list)
    for model, level in right:
        models[model].append(level)
    for model, levels in models.items():
        for one, other in pairwise(levels):
            common = sorted(right[model, one].keys() & right[model, other].keys())
            a, b = (np.array([right[model, level][prompt] for prompt in common], float) for level in (one, other))
            yield f"{model} {one} and {other}", a, b


def test_pairs_need_a_third_of_the_requests() -> None:
    rng = np.random.default_rng(1)
    for name, first, second in arms_of_the_artifact():
        paired, apart = (needed(first, second, 0.08, rng, each) for each in (True, False))
        print(f"{name}: {paired} requests in pairs, {apart} apart, {paired / apart:.2f}")
        assert paired <= apart / 3


@pytest.mark.long
def test_pairs_need_what_the_arms_disagreement_says() -> None:
    """On levels of thought, which differ more than arms do: nearly the share of requests that is right for one look."""
    if not COLLECTED.exists():
        pytest.skip("collected outcomes are no part of the product")
    rng = np.random.default_rng(2)
    for name, first, second in collected_arms():
        paired, apart = (needed(first, second, 0.05, rng, each) for each in (True, False))
        least = (second - first).var() / (2 * (first.var() + second.var()))
        print(f"{name}: {paired} in pairs, {apart} apart, {paired / apart:.2f}; for one look {least:.2f}")
        assert paired / apart <= least + 0.1


class Explored:
    """The shipped artifact's held-out prompts under a policy that explores in the price, by quantiles of z."""

    def __init__(self, trial: HoldoutTrial, base: float, s: float, quantiles: int = 101) -> None:
        self.trial = trial
        self.prices = [base * np.exp(s * NORMAL.inv_cdf((k + 0.5) / quantiles)) for k in range(quantiles)]
        self.paths = np.stack([path(trial, price) for price in self.prices])
        bought = [trial.bought(price) for price in self.prices]
        self.right = float(np.mean([correct.mean() for correct, _ in bought]))
        self.tokens = float(np.mean([tokens.mean() for _, tokens in bought]))

    def effective_share(self, price: float, rng: np.random.Generator) -> float:
        """How much a log of this policy is worth, by request, of one without exploration at another price."""
        rows = np.arange(len(self.trial))
        taken = self.paths[rng.integers(0, len(self.paths), len(rows)), rows]
        weight = (path(self.trial, price) == taken) / (self.paths == taken).mean(axis=0)
        return float(weight.sum() ** 2 / (weight @ weight) / len(rows))


def path(trial: HoldoutTrial, price: float) -> NDArray[np.int64]:
    probed, choice = trial.choices(price)
    return choice + 100 * probed


def test_exploration_costs_little_and_shows_neighbouring_dials() -> None:
    """At dial .65 and `explore` .5, for the merged model and for the split pair."""
    rng = np.random.default_rng(3)
    for models in ({"tiny"}, {"tiny-instruct", "tiny-thinking"}):
        predictor = predict.load("tiny").restricted(models)
        trial = predictor.trial()
        explored = Explored(trial, predictor.price_for_dial(0.65), 0.5)
        bought = [trial.bought(predictor.price_for_dial(dial)) for dial in np.linspace(0.3, 0.95, 40).tolist()]
        tokens, right = ([float(each[i].mean()) for each in bought] for i in (1, 0))
        cost = float(np.interp(explored.tokens, tokens, right)) - explored.right
        shares = {
            dial: float(np.median([explored.effective_share(predictor.price_for_dial(dial), rng) for _ in range(9)]))
            for dial in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
        }
        print(f"{sorted(models)}: {100 * cost:.2f} points; effective share of n {shares}")
        assert cost <= 0.0055 and min(shares.values()) >= 0.4
