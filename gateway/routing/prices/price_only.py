"""A price setter that learns nothing: for requests that are no traffic."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.decision import Decision
from gateway.core.prices import Prices
from gateway.core.record import Record
from gateway.routing.prices.protocol import PriceContext, PriceSetter, PriceSettings, Recalled


@dataclass(frozen=True, slots=True)
class PriceOnly:
    """The prices of `setter` as they are; it neither recalls nor learns of the requests."""

    setter: PriceSetter

    @property
    def name(self) -> str:
        return self.setter.name

    @property
    def settings(self) -> PriceSettings:
        return self.setter.settings

    def price(self, context: PriceContext) -> Prices:
        return self.setter.price(context)

    def recall(self, context: PriceContext) -> Recalled | None:
        return None

    def decided(self, context: PriceContext, decision: Decision) -> None:
        pass

    def observe(self, record: Record) -> None:
        pass

    def describe(self) -> str:
        return self.setter.describe()
