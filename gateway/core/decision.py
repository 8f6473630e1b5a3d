"""The chosen effort, and the prices at which it was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from gateway.core.efforts import Effort
from gateway.core.forecast import ANY_FACTOR, Forecast, Intervals
from gateway.core.prices import Prices
from gateway.core.probe import ProbeOptions

Reason = Literal["client", "router", "probe", "policy", "fallback", "explore", "sticky", "shadow", "judge"]


class Alternative(NamedTuple):
    """Something else that could have been decided: an effort, or a probe first.

    The prices of a token, of a second and of a token read again at which it would have been, the other two being what
    they are: empty, where none would do. `probability` is that under exploration.
    """

    effort: Effort
    probe: bool
    token: Intervals
    second: Intervals
    reread: Intervals
    probability: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The chosen effort, its probability under the policy, the reason, and the prices.

    `probe_options`: the options of a probe to send first, after which the decision is made again; None: no probe.
    `factors`: where a policy explores, the factors on its token price that lead to this decision, given those that led
    to its forecast; `propensity` is their probability.
    """

    effort: Effort
    reason: Reason
    propensity: float
    prices: Prices
    forecast: Forecast | None = None
    probe_options: ProbeOptions | None = None
    factors: Intervals = ANY_FACTOR
