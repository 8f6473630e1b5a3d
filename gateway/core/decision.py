"""The chosen effort, and the prices at which it was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.core.efforts import Effort
from gateway.core.forecast import ANY_FACTOR, Forecast, Intervals
from gateway.core.prices import Prices
from gateway.core.probe import ProbeOptions

Reason = Literal["client", "router", "probe", "policy", "fallback", "explore"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The chosen effort, its probability under the policy, the reason, and the prices.

    `probe_options`: the options of a probe to send first, after which the decision is made again; None: no probe.
    `factors`: where a policy explores, the factors on its token price that lead to this decision, after all that led to
    its forecast; `propensity` is their probability.
    """

    effort: Effort
    reason: Reason
    propensity: float
    prices: Prices
    forecast: Forecast | None = None
    probe_options: ProbeOptions | None = None
    factors: Intervals = ANY_FACTOR
