"""Load: a token costs what it costs those who wait for its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gateway.core.decision import Decision
from gateway.core.errors import ConfigError
from gateway.core.load import Load
from gateway.core.prices import Prices
from gateway.core.record import Record
from gateway.core.strict import Unit
from gateway.routing.prices.protocol import PriceContext, PriceSetter, PriceSettings, Recalled, Surroundings


class LoadSettings(PriceSettings):
    """Thinking shrinks as queues grow, before anything is refused. The model's deployments have `max_in_flight`."""

    has_state: ClassVar[bool] = False
    kind: Literal["load"]
    price_of_waiting: Annotated[float, Field(gt=0)] = 0.1
    """What a second of waiting is worth to each request that waits, in units of P(correct)."""
    busy_from: Unit = 0.8
    """The share of a deployment's places from which on requests count as waiting: they slow each other down."""

    def setter(self, surroundings: Surroundings) -> PriceSetter:
        if not surroundings.gated:
            raise ConfigError(["kind: a deployment of this model has no max_in_flight: nothing ever waits for it"])
        return LoadPrice(self, surroundings)


@dataclass(frozen=True, slots=True)
class LoadPrice:
    settings: LoadSettings
    surroundings: Surroundings

    @property
    def name(self) -> str:
        return self.settings.called

    def price(self, context: PriceContext) -> Prices:
        loads = (self.surroundings.load_of(one.name) for one in context.arm.deployments)
        return Prices.of(self.name, max(map(self._of, loads), default=0.0))

    def _of(self, load: Load) -> float:
        """A token holds its place for `tpot_s`, and everyone who waits gets one of the places that much later."""
        waiting = load.queued + max(load.in_flight - self.settings.busy_from * load.places, 0.0)
        return self.settings.price_of_waiting * load.tpot_s * waiting / load.places if waiting else 0.0

    def recall(self, context: PriceContext) -> Recalled | None:
        return None

    def decided(self, context: PriceContext, decision: Decision) -> None:
        pass

    def observe(self, record: Record) -> None:
        pass

    def describe(self) -> str:
        given = self.settings
        return (
            f"from {given.busy_from:.0%} of the places on, a token costs what it makes those wait who wait, at "
            f"{given.price_of_waiting:g} of P(correct) a second."
        )
