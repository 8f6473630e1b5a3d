"""What a price setter is, and what its settings are."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.efforts import NO_THINKING, Effort
from gateway.core.kind import kind_of
from gateway.core.load import Load
from gateway.core.prices import Prices
from gateway.core.record import Record
from gateway.core.strict import Name, StrictSettings
from gateway.routing.prices.spending_book import MemoryBook, SpendingBook


class PriceContext(NamedTuple):
    """What setters know of a request. `id` is the gateway's own for it, `unit` the hash of what experiments assign, and
    `team` the team of its API key.
    """

    id: str
    call: Call
    arm: Arm
    unit: str
    team: str | None = None


class Recalled(NamedTuple):
    """What is remembered of a request's conversation: the effort to keep (None: decide anew), and which deployment has
    how many tokens of the prompt in its cache.
    """

    effort: Effort | None
    deployment: str
    tokens: int


class PriceSetter(Protocol):
    """Adds to the prices of a model's requests. Its state is its own, and that of one process; nothing here raises.

    Called on the event loop, for every request: it returns at once.
    """

    @property
    def name(self) -> str:
        """What records and explanations call it."""
        ...

    @property
    def settings(self) -> PriceSettings:
        """What it was made from: a reload that leaves these as they are keeps the setter and its state."""
        ...

    def price(self, context: PriceContext) -> Prices:
        """What it adds for this request, whose effort the policy is about to choose."""
        ...

    def recall(self, context: PriceContext) -> Recalled | None:
        """What it remembers of the request's conversation; None: nothing."""
        ...

    def decided(self, context: PriceContext, decision: Decision) -> None:
        """The request is about to be sent, under this decision; again, if the decision was changed.

        If that is to send a probe first (`probe_options`), its effort is decided later, and told then.
        """
        ...

    def observe(self, record: Record) -> None:
        """A request of the model has ended. Its `id` is that of the context."""
        ...

    def describe(self) -> str:
        """A sentence for `thinkgate check`, with units."""
        ...


def idle(deployment: str) -> Load:
    """How busy a deployment is where nothing runs."""
    return Load()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the setters of a model are made with.

    `weakest` is the weakest effort that its policy may choose, `gated` whether all of its deployments limit their
    requests at once, `engines_say` whether engines of all others can say how busy they are, `has_dollars` whether one
    has a price, `floor_dollars` what the thinking of a request may cost at the weakest effort. `load_of` says how busy
    a deployment is, by its name; `book` is where spending is written down, and outlives the setters; `clock` is the
    wall clock, in seconds.
    """

    model: str
    weakest: Effort = NO_THINKING
    gated: bool = False
    engines_say: bool = False
    has_dollars: bool = False
    floor_dollars: float = 0.0
    load_of: Callable[[str], Load] = idle
    book: SpendingBook = field(default_factory=MemoryBook)
    clock: Callable[[], float] = time.time


class PriceSettings(StrictSettings, ABC):
    """A table of `[[models.NAME.prices]]`. Each kind adds its keys, and a `kind` of its own: a literal of one word."""

    has_state: ClassVar[bool] = True
    """Whether its setter remembers anything between requests, which a reload must keep."""
    name: Name = ""
    """What records and explanations call it: its kind if left out. Two setters of a model have different names."""

    @property
    def kind_name(self) -> str:
        return kind_of(type(self))

    @property
    def called(self) -> str:
        return self.name or self.kind_name

    @property
    def account(self) -> str:
        """What its setter writes down, in words: workers share it, and a restart finds it again. Empty: nothing."""
        return ""

    @property
    def engines_every_s(self) -> float | None:
        """How often its setter wants to hear how busy the model's engines are, in seconds; None: it does not."""
        return None

    @abstractmethod
    def setter(self, surroundings: Surroundings) -> PriceSetter:
        """ConfigError: what it asks for cannot be."""
