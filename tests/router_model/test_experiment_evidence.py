"""What pairs and exploration bring on outcomes of real models: the shipped artifact's, and collected ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.routing.policies.exploration import MOST_LOSS, Exploration
from router_model.experiments.difference import RunningDifference, Units
from router_model.experiments.mean import RunningMean
from router_model.model import predict
from router_model.model.probe import OOD_ALWAYS_PROBE
from router_model.offpolicy.floors import MOST_UNSEEN, UNSEEN
from router_model.offpolicy.log_columns import Forecasts, Prices, Probes
from router_model.offpolicy.logged import Logged

F64 = NDArray[np.float64]
COLLECTED = Path(__file__).resolve().parents[3] / "shared" / "data" / "real_effort_ladder.parquet"


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
    """The shipped artifact's held-out prompts under a policy that explores around a dial, with exact probabilities."""

    def __init__(self, predictor: predict.Predictor, dial: float, explore: float) -> None:
        self.predictor, self.trial = predictor, predictor.trial()
        price = predictor.price_for_dial(dial)
        spread = Exploration(explore, MOST_LOSS).spread(price, predictor.price_for_dial)
        self.logged = self._as_logged(Prices.of(len(self.trial), price, 0.0, spread, MOST_LOSS))
        masses = self.logged.own_masses
        # Paths without a probe, then those over one.
        self.chances = np.concatenate([masses.direct, masses.committed], axis=1)
        tokens = self.trial.tokens
        wasted = tokens + np.where(np.arange(tokens.shape[1]) > 0, tokens[:, :1], 0.0)
        self.right = self._mean(np.concatenate([self.trial.correct] * 2, axis=1))
        self.tokens = self._mean(np.concatenate([tokens, wasted], axis=1))

    def _as_logged(self, prices: Prices) -> Logged:
        """As if every prompt had been probed, so that what comes after a probe is known of all."""
        seen, n = self.trial.seen, len(self.trial)
        all_of, nan = np.ones(n, bool), np.full(n, np.nan)
        probes = Probes(all_of, seen.ood_probability > OOD_ALWAYS_PROBE, all_of, seen.outcomes, seen.p_after)
        forecasts = Forecasts.of(seen.p_before, seen.tokens_before)
        return Logged(forecasts, probes, prices, np.zeros(n, np.int64), ~all_of, np.ones(n), nan, nan, nan)

    def _mean(self, of_path: F64) -> float:
        return float((self.chances * of_path).sum(axis=1).mean())

    @property
    def lost(self) -> float:
        """How much less is right than without exploration at equal tokens."""
        bought = [self.trial.bought(self.predictor.price_for_dial(dial)) for dial in np.linspace(0.02, 0.99, 98)]
        tokens, right = (np.array([each[i].mean() for each in bought]) for i in (1, 0))
        order = np.argsort(tokens)
        return float(np.interp(self.tokens, tokens[order], right[order])) - self.right

    def shown(self, dial: float, rng: np.random.Generator) -> tuple[float, float]:
        """How much a log of this policy is worth, by request, of one without exploration at another dial, in the median
        of some logs; and how much of what that would do is as good as never in it."""
        n, efforts = self.trial.correct.shape
        probed, choice = self.trial.choices(self.predictor.price_for_dial(dial))
        path = choice + efforts * probed
        chance = self.chances[np.arange(n), path]
        found = []
        for _ in range(9):
            weight = np.where(rng.random(n) < chance, 1 / np.maximum(chance, 1e-12), 0.0)
            found.append(float(weight.sum() ** 2 / (weight @ weight) / n))
        return float(np.median(found)), float((chance < 1 / UNSEEN).mean())


MODELS = ({"tiny"}, {"tiny-instruct", "tiny-thinking"})


@pytest.mark.parametrize("dials", [(0.65,), pytest.param((0.3, 0.4, 0.5, 0.6, 0.7, 0.8), marks=pytest.mark.long)])
def test_exploration_costs_little_and_shows_neighbouring_dials(dials: tuple[float, ...]) -> None:
    """At `explore` .5, for the merged model and for the split pair: at most half a point, and 40 % of a log's size for
    every dial within .15. Beyond .9 a token is free on this traffic, and choices between equals cannot be shown."""
    rng = np.random.default_rng(3)
    for models in MODELS:
        predictor = predict.load("tiny").restricted(models)
        for dial in dials:
            explored = Explored(predictor, dial, 0.5)
            others = [round(dial + step, 2) for step in (-0.15, -0.1, -0.05, 0.05, 0.1, 0.15) if dial + step < 0.93]
            shown = {other: explored.shown(other, rng) for other in others}
            told = {other: f"{share:.2f} ({unseen:.1%} unseen)" for other, (share, unseen) in shown.items()}
            print(f"{sorted(models)} at {dial}: {100 * explored.lost:.2f} points; effective share of n {told}")
            assert explored.lost <= 0.005
            assert min(share for share, _ in shown.values()) >= 0.4
            assert max(unseen for _, unseen in shown.values()) <= MOST_UNSEEN
