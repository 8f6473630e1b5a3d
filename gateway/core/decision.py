"""The chosen effort, and the prices at which it was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.core.efforts import Effort
from gateway.core.forecast import Forecast
from gateway.core.probe import ProbeOptions

Reason = Literal["client", "router", "probe", "policy", "fallback"]


@dataclass(frozen=True, slots=True)
class Prices:
    """What one token and one second of waiting are worth, in units of P(correct)."""

    token: float = 0.0
    second: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """The chosen effort, its probability under the policy, the reason, and the prices.

    `asks`: the options of a probe to send first, after which the decision is made again; None: no probe.
    """

    effort: Effort
    reason: Reason
    propensity: float
    prices: Prices
    forecast: Forecast | None = None
    probe_options: ProbeOptions | None = None
