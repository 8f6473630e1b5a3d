"""What a price setter is, and what its settings are."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple, Protocol

from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.kind import kind_of
from gateway.core.prices import Prices
from gateway.core.record import Record
from gateway.core.strict import StrictSettings


class PriceContext(NamedTuple):
    """What setters know of a request. `id` is the gateway's own for it, `unit` the hash of what experiments assign."""

    id: str
    call: Call
    arm: Arm
    unit: str


class PriceSetter(Protocol):
    """Adds to the prices of a model's requests. Its state is its own, and that of one process; nothing here raises.

    Called on the event loop, for every request whose effort the policy chooses: it returns at once.
    """

    @property
    def name(self) -> str:
        """What records and explanations call it."""
        ...

    def price(self, context: PriceContext) -> Prices:
        """What it adds for this request."""
        ...

    def observe(self, record: Record) -> None:
        """A request of the model has ended."""
        ...

    def describe(self) -> str:
        """A sentence for `thinkgate check`, with units."""
        ...


class Surroundings(NamedTuple):
    """What setters are made with. `clock` is monotonic, in seconds."""

    model: str
    clock: Callable[[], float] = time.monotonic


class PriceSettings(StrictSettings, ABC):
    """A table of `[[models.NAME.prices]]`. Each kind adds its keys, and a `kind` of its own: a literal of one word."""

    @property
    def kind_name(self) -> str:
        return kind_of(type(self))

    @abstractmethod
    def setter(self, surroundings: Surroundings) -> PriceSetter:
        """ConfigError: what it asks for cannot be."""
