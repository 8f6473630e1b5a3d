"""A latency target: the price of waiting rises until the slow answers are fast enough.

The price follows the quantile as a running estimate of it would (Robbins and Monro, "A Stochastic Approximation
Method", Annals of Mathematical Statistics 22(3), 1951, doi:10.1214/aoms/1177729586): each answer that is too slow
raises its logarithm, each other one lowers it, and the two balance where 5 % are too slow. It grows smoothly out of
nothing: the lowest value of that logarithm stands for no price.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import expm1, log
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from gateway.core.decision import Decision
from gateway.core.prices import Prices
from gateway.core.record import Record
from gateway.routing.prices.protocol import PriceContext, PriceSetter, PriceSettings, Recalled, Surroundings

# The share of answers that may be slower than the target.
SLOWER = 0.05
# How far an answer that is too slow moves the logarithm of the price.
STEP = 0.05
# The scale of the price, and its range above that: what an answer of the target's length costs, in P(correct).
SCALE, RANGE = 0.05, 400.0


class Measure(NamedTuple):
    """What a target is about: `until` when, in words, and the seconds of a request; None: it has none."""

    until: str
    seconds: Callable[[Record], float | None]


def _first_answer(record: Record) -> float | None:
    return None if record.first_answer_ms is None else record.first_answer_ms / 1000


# By the setting that has the target.
MEASURES = {
    "first_token_p95_s": Measure("first token", lambda record: record.ttft),
    "first_answer_p95_s": Measure("first token after the reasoning", _first_answer),
    "latency_p95_s": Measure("end", lambda record: record.latency),
}


class SloSettings(PriceSettings):
    """A target for the 95th percentile, in seconds. Set one of the three; further tables set others."""

    kind: Literal["slo"]
    first_token_p95_s: Annotated[float, Field(gt=0)] | None = None
    """Until a stream's first token, which may be reasoning."""
    first_answer_p95_s: Annotated[float, Field(gt=0)] | None = None
    """Until the first token after the reasoning; until all of an answer that is not streamed."""
    latency_p95_s: Annotated[float, Field(gt=0)] | None = None
    """Until an answer is complete."""

    @model_validator(mode="after")
    def _one_target(self) -> SloSettings:
        if len(self._targets) != 1:
            raise ValueError(f"set one of {', '.join(f'`{name}`' for name in MEASURES)}; a second table sets another")
        return self

    @property
    def _targets(self) -> dict[str, float]:
        given = {name: getattr(self, name) for name in MEASURES}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def target_s(self) -> float:
        (target,) = self._targets.values()
        return target

    @property
    def measure(self) -> Measure:
        (name,) = self._targets
        return MEASURES[name]

    def setter(self, surroundings: Surroundings) -> PriceSetter:
        return Slo(self, self.measure, self.target_s)


@dataclass(slots=True)
class Slo:
    settings: SloSettings
    measure: Measure
    target_s: float
    _level: float = 0.0

    @property
    def name(self) -> str:
        return self.settings.called

    def price(self, context: PriceContext) -> Prices:
        return Prices.of(self.name, second=SCALE / self.target_s * expm1(self._level))

    def recall(self, context: PriceContext) -> Recalled | None:
        return None

    def decided(self, context: PriceContext, decision: Decision) -> None:
        pass

    def observe(self, record: Record) -> None:
        seconds = self.measure.seconds(record)
        if seconds is None or record.status != 200:
            return
        self.answered(seconds)

    def answered(self, seconds: float) -> None:
        """An answer took so long."""
        step = STEP * ((seconds > self.target_s) - SLOWER)
        self._level = min(max(self._level + step, 0.0), log(RANGE))

    def describe(self) -> str:
        target = f"95 % of answers within {self.target_s:g} s until their {self.measure.until}"
        return f"{target}, as a price of waiting in P(correct) per second."
