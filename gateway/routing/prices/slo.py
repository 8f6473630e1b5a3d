"""A latency target: the price of waiting rises until the slow answers are fast enough.

The price follows the quantile as a running estimate of it would (Robbins and Monro, "A Stochastic Approximation
Method", Annals of Mathematical Statistics 22(3), 1951, doi:10.1214/aoms/1177729586): each answer that is too slow
raises its logarithm, each other one lowers it, and the two balance where 5 % are too slow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.core.decision import Decision
from gateway.core.prices import Prices
from gateway.core.record import Record
from gateway.routing.prices.protocol import PriceContext, PriceSetter, PriceSettings, Recalled, Surroundings

# The share of answers that may be slower than the target.
SLOWER = 0.05
# How far an answer that is too slow moves the logarithm of the price.
STEP = 0.2
# The range of the price, in P(correct) per second.
LOWEST, HIGHEST = 1e-4, 10.0


class SloSettings(PriceSettings):
    """A target for the 95th percentile, in seconds. Set one of the two; two tables set both."""

    kind: Literal["slo"]
    first_token_p95_s: Annotated[float, Field(gt=0)] | None = None
    """Until a stream's first token."""
    latency_p95_s: Annotated[float, Field(gt=0)] | None = None
    """Until an answer is complete."""

    @model_validator(mode="after")
    def _one_target(self) -> SloSettings:
        if (self.first_token_p95_s is None) == (self.latency_p95_s is None):
            raise ValueError("set either `first_token_p95_s` or `latency_p95_s`; a second table sets the other one")
        return self

    @property
    def target_s(self) -> float:
        return self.latency_p95_s or self.first_token_p95_s or 0.0

    def setter(self, surroundings: Surroundings) -> PriceSetter:
        return Slo(self)


@dataclass(slots=True)
class Slo:
    settings: SloSettings
    _log_price: float = field(default_factory=lambda: log(LOWEST))

    @property
    def name(self) -> str:
        return self.settings.called

    def price(self, context: PriceContext) -> Prices:
        return Prices.of(self.name, second=exp(self._log_price) if self._log_price > log(LOWEST) else 0.0)

    def recall(self, context: PriceContext) -> Recalled | None:
        return None

    def decided(self, context: PriceContext, decision: Decision) -> None:
        pass

    def observe(self, record: Record) -> None:
        seconds = record.ttft if self.settings.latency_p95_s is None else record.latency
        if seconds is None or record.status != 200:
            return
        self.answered(seconds)

    def answered(self, seconds: float) -> None:
        """An answer took so long."""
        step = STEP * ((seconds > self.settings.target_s) - SLOWER)
        self._log_price = min(max(self._log_price + step, log(LOWEST)), log(HIGHEST))

    def describe(self) -> str:
        until = "first token" if self.settings.latency_p95_s is None else "end"
        target = f"95 % of answers within {self.settings.target_s:g} s until their {until}"
        return f"{target}, as a price of waiting in P(correct) per second."
