"""What an experiment looks at of one request."""

from __future__ import annotations

from typing import NamedTuple


class ExperimentRow(NamedTuple):
    """Columns of its record, and `outcome`: the mean of its scores, weighted by how much each source counts."""

    id: str
    time: float
    unit: str | None
    arm: str | None
    status: int
    applied: str | None
    used: int | None
    reasoning_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    ttft: float | None
    first_answer_ms: float | None
    latency: float | None
    verdict: str | None
    probe: str | None
    probe_tokens: int | None
    forecast: str | None
    paired_with: str | None
    baseline: str | None
    outcome: float | None
