"""What a need is worth: curves of P(correct), of its gain from thinking and of tokens, as the trees of a router.

The curves are isotonic regressions on needs that were forecast out of fold, so they are calibrated to how well
a need can be told from text. A need only orders requests; these give it a scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from router_model.adapting.assumptions import Assumptions
from router_model.model.artifact import Head
from router_model.model.budget_interpolation import ReasoningLength
from router_model.model.trees import F32, MOST_LEAVES, Trees

Matrix = NDArray[np.float64]
# Points of a curve, and trees that hold its steps.
_POINTS, _TREES = 60, 4
# Tenth and ninetieth percentile of a normal distribution, in standard deviations.
_TENTH = 1.2816
# Requests unlike those it was trained on have lengths that are so much less certain.
_WIDER = 1.3
# The standard deviation of the logarithm of an answer's length.
_ANSWER = 0.8


@dataclass(frozen=True, slots=True)
class Examples:
    """Requests by what they need: `need`, P(correct) without thinking `right` and what thinking adds to it, `gain`,
    log(1 + tokens) of a whole thought and of an answer, NaN where unknown, and `weight` [requests].
    """

    need: Matrix
    right: Matrix
    gain: Matrix
    thinking: Matrix
    answer: Matrix
    weight: Matrix

    def beside(self, other: Examples) -> Examples:
        names = self.__dataclass_fields__
        return Examples(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names})


@dataclass(frozen=True, slots=True)
class Curves:
    """Values at needs `at`, ascending. `width`: the standard deviation of the logarithm of a thought's length."""

    at: Matrix
    right: Matrix
    gain: Matrix
    thinking: Matrix
    answer: Matrix
    width: float


def fit(examples: Examples, assumed: Assumptions) -> Curves:
    at = np.unique(np.quantile(examples.need, (np.arange(_POINTS) + 0.5) / _POINTS))

    def curve(values: Matrix, rising: bool = True) -> Matrix:
        known = ~np.isnan(values)
        found = IsotonicRegression(increasing=rising, out_of_bounds="clip")
        found.fit(examples.need[known], values[known], sample_weight=examples.weight[known])
        return np.asarray(_smooth(found.predict(at)))

    thinking = curve(examples.thinking)
    known = ~np.isnan(examples.thinking)
    away = examples.thinking[known] - np.interp(examples.need[known], at, thinking)
    unsure = float(np.average(np.square(away), weights=examples.weight[known]))
    width = (assumed.spread**2 + unsure) ** 0.5
    right = curve(examples.right, rising=False)
    return Curves(at, right, curve(examples.gain), thinking, curve(examples.answer), width)


def _smooth(values: Matrix) -> Matrix:
    """The mean of each value and its neighbours: isotonic regression makes plateaus, and those would be equal ranks."""
    wide = np.pad(values, 2, mode="edge")
    return np.convolve(wide, np.ones(5) / 5, mode="valid")


def trees(curves: Curves, heads: Sequence[Head], feature: int, assumed: Assumptions) -> Trees:
    """The curves for these efforts, as staircases over one feature: logits, then log(1 + tokens) of both kinds."""
    values = np.array([_outputs(curves, i, heads, assumed) for i in range(len(curves.at))])
    steps = np.linspace(0, len(values) - 1, _TREES * (MOST_LEAVES - 1) + 1)
    places = np.interp(steps, np.arange(len(values)), curves.at)
    levels = np.stack([np.interp(steps, np.arange(len(values)), column) for column in values.T], axis=1)
    thresholds = ((places[1:] + places[:-1]) / 2).reshape(-1, _TREES).astype(np.float32)
    jumps = np.diff(levels, axis=0).reshape(-1, _TREES, values.shape[1])
    leaves = np.concatenate([np.zeros((1, *jumps.shape[1:])), np.cumsum(jumps, axis=0)]).transpose(1, 0, 2)
    splits = len(thresholds)
    return Trees(
        feature=np.full((splits, _TREES), feature, np.intp),
        threshold=thresholds,
        rules_out=np.tile(np.array([(1 << (s + 1)) - 1 for s in range(splits)], np.uint32)[:, None], (1, _TREES)),
        values=leaves.astype(np.float16).astype(np.float32),
        base=levels[0].astype(np.float32),
    )


def assumed_of(grade: int, heads: Sequence[Head], assumed: Assumptions) -> tuple[list[float], list[float]]:
    """What is assumed of a grade: P(correct) and completion tokens at each effort."""
    right, gain, thinking, answer = (
        np.array([part[grade]]) for part in (assumed.right, assumed.gain, assumed.thinking, assumed.answer)
    )
    flat = Curves(np.zeros(1), right, gain, np.log1p(thinking), np.log1p(answer), assumed.spread)
    found = _outputs(flat, 0, heads, assumed)
    n = len(heads)
    return (1 / (1 + np.exp(-np.array(found[:n])))).tolist(), [
        float(np.expm1(a) + np.expm1(b)) for a, b in zip(found[n : 2 * n], found[2 * n :], strict=True)
    ]


def _outputs(curves: Curves, i: int, heads: Sequence[Head], assumed: Assumptions) -> list[float]:
    length = ReasoningLength(float(curves.thinking[i]), curves.width)
    right, thought = [], []
    for head in heads:
        most = float("inf") if head.budget is None else float(head.budget)
        share = length.within(most) ** assumed.step if head.think else 0.0
        p = min(max(float(curves.right[i] + curves.gain[i] * share), 0.01), 0.99)
        right.append(log(p / (1 - p)))
        thought.append(float(np.log1p(length.mean(most))) if head.think and most > 0 else 0.0)
    return [*right, *thought, *[float(curves.answer[i])] * len(heads)]


def spreads(curves: Curves, heads: Sequence[Head]) -> F32:
    """Quantiles of log(1 + tokens) around the forecast [heads, 2, 2, 3], as `Stage.spread` has them."""
    found = np.zeros((len(heads), 2, 2, 3), np.float32)
    for j, head in enumerate(heads):
        for k, wider in enumerate((1.0, _WIDER)):
            width = curves.width * wider
            if head.think and head.budget != 0:
                # A forecast is a mean, and half of all lengths are shorter than the median.
                found[j, 0, k] = np.array([-_TENTH, 0.0, _TENTH]) * width - curves.width**2 / 2
            found[j, 1, k] = np.array([-_TENTH, 0.0, _TENTH]) * _ANSWER * wider
    return found
