"""Forecasts of what each effort achieves and costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from gateway.core.contract import Guarantee
from gateway.core.efforts import Effort
from gateway.core.probe import ProbeUse


class EffortForecast(NamedTuple):
    """The forecast of one effort: P(correct) in [0,1], tokens, and seconds."""

    effort: Effort
    p_correct: float
    thinking_tokens: float
    answer_tokens: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecasts of one request, one per offered effort, weakest first, by the router of version `router`.

    `price_at` turns a dial position in [0,1] into the price of a token, for a policy that asks for probes in this way:
    the router knows how steep its forecasts are.
    `is_ood`: out of distribution, unlike what the router was trained on; its text alone is not to be trusted.
    `probe_pays` says whether to ask for a probe first, given the worth of the best effort that thinks and what a
    probe costs, both in P(correct); None: there can be no probe. `probed`: this is the forecast after one, in which the
    effort without thinking costs nothing more. `reading` is for the router alone: what it made of the request.
    `promised` is what the policy's contract promises with this router; None: it has none.
    """

    router: str
    efforts: tuple[EffortForecast, ...]
    price_at: Callable[[float, ProbeUse], float] = field(default=lambda dial, ask: 0.0, compare=False, repr=False)
    is_ood: bool = False
    probed: bool = False
    probe_pays: Callable[[float, float], bool] | None = field(default=None, compare=False, repr=False)
    reading: Any = field(default=None, compare=False, repr=False)
    promised: Guarantee | None = field(default=None, compare=False, repr=False)

    def without_probe(self) -> Forecast:
        """The same where there can be no probe."""
        return replace(self, probe_pays=None)

    def thinking(self) -> Forecast:
        """The same where a probe was wanted and failed: only thinking is left."""
        return replace(self, probe_pays=None, efforts=tuple(one for one in self.efforts if one.effort.think))
