"""Forecasts for one request from a router artifact.

Needs NumPy and nothing else: this is what the running gateway imports.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model import artifact as artifacts
from router_model import dial
from router_model.artifact import Artifact, ArtifactError, Head
from router_model.features import Features, featurize
from router_model.trees import F32

__all__ = ["ArtifactError", "Head", "HeadForecast", "Predictor", "load"]

# No forecast of tokens beyond this, whatever the trees extrapolate to.
_MOST_TOKENS = 1e6


@dataclass(frozen=True, slots=True)
class HeadForecast:
    """What one effort of one model would bring: P(correct) in [0,1], expected thinking and answer tokens."""

    head: Head
    p_correct: float
    thinking_tokens: float
    answer_tokens: float


def load(path_or_name: str | Path) -> Predictor:
    """The predictor of an artifact folder, or of one that ships (`tiny`). Raises ArtifactError."""
    return Predictor(artifacts.load(path_or_name))


def inputs(features: Features, bucket_rows: NDArray[np.int32], projection: F32) -> F32:
    """The row that the trees read: the structural counts, then the hashed n-grams projected on a few directions."""
    rows = bucket_rows[features.buckets]
    known = rows >= 0
    return np.concatenate([features.dense, features.weights[known] @ projection[rows[known]]])


class Predictor:
    """Scores requests with one artifact. Safe to share between threads."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.version = artifact.version
        self.heads = artifact.heads
        self._ladders = _ladders(artifact.heads)
        self._budgets = np.array([np.inf if h.budget is None else h.budget for h in artifact.heads])
        self._budgets[[i for i, h in enumerate(artifact.heads) if not h.think]] = 0.0
        self._dials: dict[frozenset[str], dial.DialTable] = {}

    def forecast(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        models: Collection[str] | None = None,
    ) -> list[HeadForecast]:
        """One forecast per head of these models (all models if None), in the order of `heads`."""
        columns = (column.tolist() for column in self.score(featurize(messages, tools)))
        return [
            HeadForecast(head, p, thinking, answer)
            for head, p, thinking, answer in zip(self.heads, *columns, strict=True)
            if models is None or head.model in models
        ]

    def score(self, features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """P(correct), thinking tokens and answer tokens of all heads, each [heads]."""
        row = inputs(features, self.artifact.bucket_rows, self.artifact.projection)
        outputs = self.artifact.trees.score(row).astype(np.float64)
        return self.finish(outputs)

    def finish(
        self, outputs: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """From the trees' raw outputs [3 x heads] to what `score` returns: calibrated, scaled, monotone."""
        n = len(self.heads)
        slope, offset = self.artifact.calibration.T
        p = 1.0 / (1.0 + np.exp(-np.clip(outputs[:n] * slope + offset, -30, 30)))
        tokens = np.clip(
            np.expm1(np.clip(outputs[n:], 0, 14)).reshape(2, n) * self.artifact.token_scale.T, 0, _MOST_TOKENS
        )
        thinking = np.minimum(tokens[0], self._budgets)
        for ladder in self._ladders:
            p[ladder] = _monotone(p[ladder])
            thinking[ladder] = np.maximum.accumulate(thinking[ladder])
        return p, thinking, tokens[1]

    def price_for_dial(self, x: float, models: Collection[str]) -> float:
        """The price of a token, in P(correct), at dial position `x` for the efforts of these models.

        1 buys the best whatever it costs (price 0), 0 only the cheapest; in between, mean completion tokens on training
        traffic lie that far between never and always thinking.
        """
        key = frozenset(models)
        if key not in self._dials:
            columns = [i for i, head in enumerate(self.heads) if head.model in key]
            saved = self.artifact.dial
            if not columns or not len(saved.tokens):
                return dial.DialTable(np.array([1.0]), np.array([dial.PROHIBITIVE])).price(x)
            self._dials[key] = dial.table(
                saved.p_correct[:, columns], saved.forecast[:, columns], saved.tokens[:, columns]
            )
        return self._dials[key].price(x)


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


def _monotone(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of the least non-decreasing row above and the greatest below: non-decreasing, near the values, fast."""
    above = np.maximum.accumulate(values)
    below = np.minimum.accumulate(values[::-1])[::-1]
    return (above + below) / 2
