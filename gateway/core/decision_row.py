"""What estimates of other policies look at of one decided request."""

from __future__ import annotations

from typing import NamedTuple


class DecisionRow(NamedTuple):
    """Columns of its record, and `outcome`: the mean of its scores, weighted by how much each source counts."""

    arm: str | None
    unit: str | None
    router: str | None
    reason: str | None
    decided: str | None
    propensity: float | None
    price_token: float | None
    price_second: float | None
    prices: str | None
    forecast: str | None
    forecast_before: str | None
    probe: str | None
    probe_value: str | None
    probe_tokens: int | None
    completion_tokens: int | None
    latency: float | None
    outcome: float | None
