"""Converts raw outputs of trees to forecasts: calibrated, scaled, and in order of budgets where that was measured."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate
from math import exp, expm1

import numpy as np

from router_model.model.artifact import Head, Stage
from router_model.model.scores import Scores

# The upper limit of token forecasts, in case the trees extrapolate.
MOST_TOKENS = 1e6


class CalibratedOutput:
    """Converts the raw outputs [3 x heads] of a stage's trees to forecasts.

    In plain Python, which is faster than NumPy for so few numbers.
    """

    def __init__(
        self, heads: Sequence[Head], stage: Stage, ordered: Collection[str] | None, over: Collection[Head] = ()
    ) -> None:
        """`ordered` and `over` (budget) as in `Artifact`."""
        self._ladders = ladders_of(heads, ordered)
        self._by_probability = stage.by_probability
        self._lines = [
            (*map(float, line), *map(float, scale), most_thinking(head, over))
            for head, line, scale in zip(heads, stage.calibration, stage.token_scale, strict=True)
        ]

    def __call__(self, outputs: Sequence[float], novelty: float) -> Scores:
        n = len(self._lines)
        p, thinking, answer = [], [], []
        for i, (slope, offset, more_slope, more_offset, scale_thinking, scale_answer, most) in enumerate(self._lines):
            z = outputs[i]
            if self._by_probability:
                z = _probability(z)
                z = z * slope + offset + novelty * (z * more_slope + more_offset)
                p.append(0.0 if z < 0.0 else z if z < 1.0 else 1.0)
            else:
                p.append(_probability(z * slope + offset + novelty * (z * more_slope + more_offset)))
            tokens = expm1(outputs[n + i]) * scale_thinking
            thinking.append(0.0 if tokens < 0.0 else tokens if tokens < most else most)
            tokens = expm1(outputs[2 * n + i]) * scale_answer
            answer.append(0.0 if tokens < 0.0 else tokens if tokens < MOST_TOKENS else MOST_TOKENS)
        for ladder in self._ladders:
            for i, value in zip(ladder, _monotone([p[i] for i in ladder]), strict=True):
                p[i] = value
            reached = 0.0
            for i in ladder:
                thinking[i] = reached = max(thinking[i], reached)
        return Scores(p, thinking, answer)


def _probability(logit: float) -> float:
    return 1.0 / (1.0 + exp(-logit)) if logit > -40.0 else 0.0


def most_thinking(head: Head, over: Collection[Head]) -> float:
    """The limit of forecasts of thinking tokens; heads that were measured to think `over` their budgets have none."""
    if not head.think:
        return 0.0
    return MOST_TOKENS if head.budget is None or head in over else float(head.budget)


def ladders_of(heads: Sequence[Head], ordered: Collection[str] | None) -> list[list[int]]:
    """The thinking heads of each `ordered` model (None: of all), smallest budget first: accuracy and tokens do not
    decrease along them. Those of other models are free, since more thinking may lose, and a level may change nothing.
    """
    ladders = []
    for model in dict.fromkeys(head.model for head in heads if ordered is None or head.model in ordered):
        members = [i for i, head in enumerate(heads) if head.model == model and head.think]
        if len(members) > 1:
            ladders.append(
                sorted(members, key=lambda i: np.inf if heads[i].budget is None else float(heads[i].budget or 0))
            )
    return ladders


def _monotone(values: list[float]) -> list[float]:
    """A non-decreasing sequence near the values: the mean of the least one above and the greatest one below them."""
    below = [*accumulate(reversed(values), min)]
    return [(high + low) / 2 for high, low in zip(accumulate(values, max), reversed(below), strict=True)]
