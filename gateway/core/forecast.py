"""Forecasts of what each effort achieves and costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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

    `price_at` converts a dial position in [0,1] to the price of a token, given the policy's use of probes: it depends
    on the router's typical forecasts. `is_ood`: the request is out of distribution, so the forecast from its text is
    unreliable. `thinking_p90` is the number of thinking tokens that an effort exceeds in one request of ten, if it is
    known. `probe_value` tells whether a probe is worth its cost; None: no probe is possible. `probed`: this is the
    forecast after a probe, whose answer is kept at no further cost. `reading` is the router's own encoding of the
    request, `features` makes a text of it for the record. `promised` is the guarantee under the policy's contract;
    None: it has no contract. `path` is what led to the probe, if there was one.
    """

    router: str
    efforts: tuple[EffortForecast, ...]
    price_at: Callable[[float, ProbeUse], float] = field(default=lambda dial, ask: 0.0, compare=False, repr=False)
    is_ood: bool = False
    probed: bool = False
    probe_value: ProbeValue | None = field(default=None, compare=False, repr=False)
    reading: Any = field(default=None, compare=False, repr=False)
    features: Callable[[], str] | None = field(default=None, compare=False, repr=False)
    promised: Guarantee | None = field(default=None, compare=False, repr=False)
    path: ProbePath = field(default=DIRECT, compare=False, repr=False)
    thinking_p90: Callable[[Effort], int | None] = field(default=lambda effort: None, compare=False, repr=False)

    def with_reread(self, tokens: Mapping[Effort, float]) -> Forecast:
        """The same where some efforts make a backend read so many tokens of the prompt again."""
        if not tokens:
            return self
        efforts = tuple(one._replace(reread_tokens=tokens.get(one.effort, 0.0)) for one in self.efforts)
        return replace(self, efforts=efforts)

    def with_efforts(self, efforts: tuple[EffortForecast, ...]) -> Forecast:
        return replace(self, efforts=efforts)

    def without_probe(self) -> Forecast:
        """The same forecast where no probe is possible."""
        return replace(self, probe_value=None)

    def thinking(self) -> Forecast:
        """The same forecast after a failed probe: only efforts that think are left."""
        return replace(self, probe_value=None, efforts=tuple(one for one in self.efforts if one.effort.think))
