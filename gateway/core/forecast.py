"""Forecasts of what each effort achieves and costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from gateway.core.contract import Guarantee
from gateway.core.efforts import Effort
from gateway.core.probe import ProbeUse, ProbeValue

# Factors on the price of a token, as disjoint intervals from a lower bound to below an upper one, rising.
Intervals = tuple[tuple[float, float], ...]
ANY_FACTOR: Intervals = ((0.0, math.inf),)


class EffortForecast(NamedTuple):
    """The forecast of one effort: P(correct) in [0,1], tokens, and seconds.

    `reread_tokens` are tokens of the prompt that a backend would have to read again, because its cache is elsewhere.
    """

    effort: Effort
    p_correct: float
    thinking_tokens: float
    answer_tokens: float
    seconds: float
    reread_tokens: float = 0.0

    @property
    def tokens(self) -> float:
        """All that are generated."""
        return self.thinking_tokens + self.answer_tokens


class ProbePath(NamedTuple):
    """How a forecast after a probe came about, under a policy that explores.

    `factors` on the token price led to the probe; `explored`: without exploration there would have been none.
    """

    factors: Intervals = ANY_FACTOR
    explored: bool = False


DIRECT = ProbePath()


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecasts of one request, one per offered effort, weakest first, by the router of version `router`.

    `price_at` turns a dial position in [0,1] into the price of a token, for a policy that uses probes in this way: the
    router knows how steep its forecasts are.
    `is_ood`: out of distribution, unlike what the router was trained on; its text alone is not to be trusted.
    `probe_value` says whether a probe is worth asking for; None: there can be no probe. `probed`: this is the forecast
    after one, in which the effort without thinking costs nothing more. `reading` is for the router alone: its encoding
    of the request. `promised` is what the policy's contract promises with this router; None: it has no contract.
    `path` is what led to the probe, where there was one.
    """

    router: str
    efforts: tuple[EffortForecast, ...]
    price_at: Callable[[float, ProbeUse], float] = field(default=lambda dial, ask: 0.0, compare=False, repr=False)
    is_ood: bool = False
    probed: bool = False
    probe_value: ProbeValue | None = field(default=None, compare=False, repr=False)
    reading: Any = field(default=None, compare=False, repr=False)
    promised: Guarantee | None = field(default=None, compare=False, repr=False)
    path: ProbePath = field(default=DIRECT, compare=False, repr=False)

    def without_probe(self) -> Forecast:
        """The same where there can be no probe."""
        return replace(self, probe_value=None)

    def thinking(self) -> Forecast:
        """The same where a probe was wanted and failed: only thinking is left."""
        return replace(self, probe_value=None, efforts=tuple(one for one in self.efforts if one.effort.think))
