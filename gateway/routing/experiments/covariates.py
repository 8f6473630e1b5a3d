"""What was forecast of a request before its arm was known, for each metric that this says something about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.config.experiment import Metric
from gateway.core.experiment_row import ExperimentRow

F64 = NDArray[np.float64]


class BaselineForecast(NamedTuple):
    """What the default arm was forecast to bring: P(correct), tokens and seconds."""

    p_correct: float
    thinking_tokens: float
    answer_tokens: float
    seconds: float


# How much of a metric follows from it is learnt as units come: only what moves with the metric matters, not its unit.
_OF: Mapping[Metric, Callable[[BaselineForecast], float]] = {
    "outcome": lambda one: one.p_correct,
    "thinking_tokens": lambda one: one.thinking_tokens,
    "total_tokens": lambda one: one.thinking_tokens + one.answer_tokens,
    "dollars": lambda one: one.thinking_tokens + one.answer_tokens,
    "first_answer_s": lambda one: one.thinking_tokens,
    "latency_s": lambda one: one.seconds,
}


def covariates(rows: Sequence[ExperimentRow], metrics: Sequence[Metric]) -> dict[str, F64]:
    """By metric [rows], NaN where nothing was forecast; none of a metric of which nothing is."""
    found = [_read(row.baseline) for row in rows]
    return {
        name: np.array([np.nan if one is None else _OF[name](one) for one in found])
        for name in metrics
        if name in _OF and any(found)
    }


def _read(baseline: str | None) -> BaselineForecast | None:
    return None if baseline is None else BaselineForecast(*orjson.loads(baseline))
