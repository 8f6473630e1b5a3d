"""Forecasts for one request from a router artifact.

Needs NumPy and nothing else: this is what the running gateway imports.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from math import exp, expm1, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from router_model import artifact as artifacts
from router_model import dial
from router_model.artifact import Artifact, ArtifactError, Head
from router_model.features import Features, featurize
from router_model.trees import F32

__all__ = ["ArtifactError", "Head", "Predictor", "Scores", "load"]

# No forecast of tokens beyond this, whatever the trees extrapolate to.
MOST_TOKENS = 1e6


class Scores(NamedTuple):
    """What each effort of a predictor would bring, in the order of its heads.

    P(correct) in [0,1], expected thinking and answer tokens.
    """

    p_correct: list[float]
    thinking_tokens: list[float]
    answer_tokens: list[float]


def load(path_or_name: str | Path) -> Predictor:
    """The predictor of an artifact folder, or of one that ships (`tiny`). Raises ArtifactError."""
    return Predictor(artifacts.load(path_or_name))


def term_rows(features: Features, vocabulary: Mapping[bytes, int]) -> list[int]:
    """The rows of the terms that the router knows, rising, so that sums over them come out the same in any process."""
    rows = [row for term in features.terms if (row := vocabulary.get(term)) is not None]
    rows.sort()
    return rows


def term_weight(features: Features) -> float:
    """What each term of a request weighs: together they are of length 1, known or not."""
    return 1 / sqrt(len(features.terms) or 1)


def inputs(features: Features, vocabulary: Mapping[bytes, int], projection: F32) -> F32:
    """The row that the trees read: the structural counts, then the terms projected on a few directions."""
    directions = projection.take(term_rows(features, vocabulary), axis=0).sum(axis=0) * term_weight(features)
    return np.array([*features.dense, *directions.tolist()], np.float32)


class Predictor:
    """Scores requests with one artifact. Safe to share between threads."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.version = artifact.version
        self.heads = artifact.heads
        self._ladders = _ladders(artifact.heads)
        self._finish = [
            (*map(float, line), *map(float, scale), _most_thinking(head))
            for head, line, scale in zip(artifact.heads, artifact.calibration, artifact.token_scale, strict=True)
        ]
        self._dial = dial.table(artifact.dial.p_correct, artifact.dial.forecast, artifact.dial.tokens)

    def restricted(self, models: Collection[str]) -> Predictor:
        """The same forecasts for the efforts of these models alone, and their own dial. ValueError: it knows none."""
        return Predictor(self.artifact.restricted([i for i, head in enumerate(self.heads) if head.model in models]))

    def forecast(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None
    ) -> Scores:
        """What each head would bring this request."""
        row = inputs(featurize(messages, tools), self.artifact.vocabulary, self.artifact.projection)
        return self.finish(self.artifact.trees.score(row).tolist())

    def finish(self, outputs: Sequence[float]) -> Scores:
        """From the trees' raw outputs [3 x heads] to forecasts: calibrated, scaled, monotone.

        Number by number: there are too few for arrays to be worth their beginning.
        """
        n = len(self.heads)
        p, thinking, answer = [], [], []
        for i, (slope, offset, scale_thinking, scale_answer, most) in enumerate(self._finish):
            p.append(1.0 / (1.0 + exp(-(outputs[i] * slope + offset))))
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

    def price_for_dial(self, x: float) -> float:
        """The price of a token, in P(correct), at dial position `x`.

        1 buys the best whatever it costs (price 0), 0 only the cheapest; in between, mean completion tokens on training
        traffic lie that far between never and always thinking.
        """
        return self._dial.price(x)


def _most_thinking(head: Head) -> float:
    if not head.think:
        return 0.0
    return MOST_TOKENS if head.budget is None else float(head.budget)


def _ladders(heads: Sequence[Head]) -> list[list[int]]:
    """The thinking heads of each model, least budget first: accuracy and thoughts do not shrink along them."""
    ladders = []
    for model in dict.fromkeys(head.model for head in heads):
        members = [i for i, head in enumerate(heads) if head.model == model and head.think]
        if len(members) > 1:
            ladders.append(
                sorted(members, key=lambda i: np.inf if heads[i].budget is None else float(heads[i].budget or 0))
            )
    return ladders


def _monotone(values: list[float]) -> list[float]:
    """The mean of the least non-decreasing row above and the greatest below: non-decreasing, near the values, fast."""
    below = [*accumulate(reversed(values), min)]
    return [(high + low) / 2 for high, low in zip(accumulate(values, max), reversed(below), strict=True)]
