"""What a request of an experiment is measured by, out of its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import nan

from gateway.config.experiment import Metric
from gateway.core.experiment_row import ExperimentRow

# A client that hung up, by its own choice.
HUNG_UP = 499


def _known(value: float | None) -> float:
    return nan if value is None else float(value)


def _total_tokens(row: ExperimentRow) -> float:
    """What was generated: thought, answer, and what of a probe was thrown away."""
    return _known(row.completion_tokens) + (row.probe_tokens or 0 if row.probe == "thrown_away" else 0)


def _error(row: ExperimentRow) -> float:
    return nan if row.status == HUNG_UP else float(row.status >= 400)


def _over_budget(row: ExperimentRow) -> float:
    return {"over": 1.0, "within": 0.0}.get(row.verdict or "", nan)


def _leak(row: ExperimentRow) -> float:
    """Whether an answer that was to come without thinking has reasoning in it; unknown of all others."""
    used = row.used if row.used is not None else row.reasoning_tokens
    return nan if row.applied != "none" or row.status != 200 or used is None else float(used > 0)


def _latency(row: ExperimentRow) -> float:
    return nan if row.status != 200 else _known(row.latency)


# By metric; NaN where it is unknown. Tokens, dollars, seconds, and shares in [0, 1].
MEASURES: Mapping[Metric, Callable[[ExperimentRow], float]] = {
    "outcome": lambda row: _known(row.outcome),
    "thinking_tokens": lambda row: _known(row.used if row.used is not None else row.reasoning_tokens),
    "total_tokens": _total_tokens,
    "dollars": lambda row: _known(row.cost),
    "ttft_s": lambda row: _known(row.ttft),
    "first_answer_s": lambda row: nan if row.first_answer_ms is None else row.first_answer_ms / 1000,
    "latency_s": _latency,
    "error": _error,
    "over_budget": _over_budget,
    "leak": _leak,
}
