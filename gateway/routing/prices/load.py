"""Load: a token costs what it costs those who wait for its place."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
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
    """Thinking shrinks as queues grow, before anything is refused.

    The model's deployments have `max_in_flight`, or engines that say how busy they are.
    """

    has_state: ClassVar[bool] = False
    kind: Literal["load"]
    price_of_waiting: Annotated[float, Field(gt=0)] = 0.1
    """What a second of waiting is worth to each request that waits, in units of P(correct)."""
    price_of_refusal: Unit = 0.8
    """What a request is worth that is refused as the queue is full, in units of P(correct)."""
    busy_from: Unit = 0.8
    """The share of a deployment's places, or of an engine's key-value cache, from which on requests count as waiting:
    they slow each other down."""
    engine_metrics: bool = True
    """Whether engines are asked how many requests run and wait there, whoever sent them: those of engines whose metrics
    the family table knows, at `/metrics` beside `/v1`."""
    engine_every_s: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    """Seconds between two such questions to each replica, for each worker; what was said five times as long ago no
    longer counts."""

    @property
    def engines_every_s(self) -> float | None:
        return self.engine_every_s if self.engine_metrics else None

    def setter(self, surroundings: Surroundings) -> PriceSetter:
        if not surroundings.gated and not (self.engine_metrics and surroundings.engines_say):
            raise ConfigError(
                ["kind: a deployment of this model has no max_in_flight, and no engine that says how busy it is"]
            )
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
        """A token holds its place for its part of an answer, and everyone who waits gets a place that much later.

        A full queue refuses one request for every `answer_s` that a place is held; the fuller it is, the likelier that
        is to follow. At its worst that is the price at which most right answers are given in the places there are
        ("On Nonlinear Fractional Programming", Dinkelbach, 1967, Management Science 13:492-498).
        """
        second = load.answer_s / max(load.answer_tokens, 1.0)
        waiting, places = self._at_engine(load)
        if isfinite(load.places):
            beyond = max(load.in_flight - self.settings.busy_from * load.places, 0.0)
            waiting, places = max(waiting, load.queued + beyond), min(places, load.places)
        refusal = self.settings.price_of_refusal * _fullness(load) / max(load.answer_tokens, 1.0)
        return refusal + (self.settings.price_of_waiting * second * waiting / places if waiting else 0.0)

    def _at_engine(self, load: Load) -> tuple[float, float]:
        """How many wait as the engines say, with those that wait here for their turn, and for how many places."""
        engine = load.engine if self.settings.engine_metrics else None
        if engine is None:
            return 0.0, inf
        places = max(engine.running, 1.0)
        if not engine.cache:
            return (load.queued + engine.waiting, places) if engine.waiting else (0.0, inf)
        beyond = engine.running * max(1.0 - self.settings.busy_from / engine.cache, 0.0)
        waiting = engine.waiting + beyond
        return (load.queued + waiting, places if engine.waiting else places / engine.cache) if waiting else (0.0, inf)

    def recall(self, context: PriceContext) -> Recalled | None:
        return None

    def decided(self, context: PriceContext, decision: Decision) -> None:
        pass

    def observe(self, record: Record) -> None:
        pass

    def describe(self) -> str:
        given = self.settings
        asked = f"engines are asked every {given.engine_every_s:g} s" if given.engine_metrics else "no engine is asked"
        return (
            f"from {given.busy_from:.0%} of the places on, a token costs what it makes those wait who wait, at "
            f"{given.price_of_waiting:g} of P(correct) a second; {asked}."
        )


def _fullness(load: Load) -> float:
    """Of the gateway's own queue, from 0 to 1."""
    return min(load.queued / load.most_queued, 1.0) if load.most_queued else 0.0
