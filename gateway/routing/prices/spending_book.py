"""Where it is written down what budgets have spent: one entry for each scope, such as a model or a key."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

# What a request may spend at most that has no limit, in any unit.
UNBOUNDED = 1e12
# Scopes that are remembered at once in memory: the one that has been idle longest goes first.
MOST_SCOPES = 4096


class Expected(NamedTuple):
    """What a request will probably spend, at most, and at its weakest effort; `is_decided`: by its decision, and not if
    it comes to that.
    """

    mean: float
    most: float
    least: float = 0.0
    is_decided: bool = True


class Reserved(NamedTuple):
    """Of requests that run: the sums of what they are expected to spend, of its squares, and of the most."""

    mean: float = 0.0
    square: float = 0.0
    most: float = 0.0

    def plus(self, one: Expected, sign: int = 1) -> Reserved:
        most = self.most + sign * min(one.most, UNBOUNDED)
        return Reserved(self.mean + sign * one.mean, self.square + sign * one.mean**2, most)


NOTHING = Reserved()


@dataclass(slots=True)
class SpendingState:
    """What was spent in the window, and what the price has learned.

    `log_price` is per unit of what is spent. `gap_s` is the mean time between requests of late, `long_gap_s` that over
    hundreds of them, after so many `gaps`. In tokens, `largest` is the
    largest expectation, slowly forgotten, `square` the mean of the squares of expectations, and `least` the mean of
    what requests spend at their weakest effort. `ratio` is the mean ratio of real to expected spending, `variance` that
    ratio's.
    """

    window: float = -1.0
    spent: float = 0.0
    log_price: float | None = None
    last: float | None = None
    gap_s: float | None = None
    long_gap_s: float | None = None
    gaps: float = 0.0
    largest: float = 0.0
    square: float = 0.0
    least: float = 0.0
    ratio: float = 1.0
    variance: float = 0.25


class Running:
    """Requests of this process that have begun and not ended, by their ids."""

    __slots__ = ("_expected", "total")

    def __init__(self) -> None:
        self._expected: dict[str, Expected] = {}
        self.total = NOTHING

    def add(self, id: str, expected: Expected) -> None:
        """In place of what was expected of it before."""
        self.drop(id)
        self._expected[id] = expected
        self.total = self.total.plus(expected)

    def drop(self, id: str) -> Expected | None:
        expected = self._expected.pop(id, None)
        if not self._expected:
            self.total = NOTHING  # what rounding has left goes, too
        elif expected is not None:
            self.total = self.total.plus(expected, -1)
        return expected


class Entry(NamedTuple):
    """One scope: its state, this process's requests, and what is reserved by those of other processes."""

    state: SpendingState
    running: Running
    others: Reserved = NOTHING


class SpendingBook(Protocol):
    """It outlives the setters that use it, so that a reload forgets nothing. Nothing here raises."""

    def read(self, scope: str) -> Entry:
        """As it is now. Changes to it are lost."""
        ...

    def change(self, scope: str) -> AbstractContextManager[Entry]:
        """An entry that is written back at the end of the block. No other process changes it meanwhile."""
        ...


class MemoryBook:
    """Of one process alone."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def read(self, scope: str) -> Entry:
        entry = self._entries.pop(scope, None) or Entry(SpendingState(), Running())
        self._entries[scope] = entry
        if len(self._entries) > MOST_SCOPES:
            self._entries.popitem(last=False)
        return entry

    @contextmanager
    def change(self, scope: str) -> Iterator[Entry]:
        yield self.read(scope)
