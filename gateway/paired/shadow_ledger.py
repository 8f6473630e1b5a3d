"""What shadow answers have spent today, against their caps.

The numbers are in the file of what budgets have spent, so that all processes of a host share the caps and a restart
begins no new day. Days are those of the clock, in UTC. A clock that goes back begins no day again, so that nothing is
spent twice; one that was far ahead has spent from the day that it is put back to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from gateway.config.learn import LearnSettings
from gateway.core.record import Record
from gateway.routing.prices.spending_book import Entry, Expected, SpendingBook

DAY_S = 86_400.0
TOKENS, DOLLARS = "learn/shadow_tokens", "learn/shadow_usd"


class ShadowCost(NamedTuple):
    """What an answer and its judgement are expected to take at most."""

    tokens: float
    dollars: float


class ShadowLedger:
    """`clock` is the wall clock, in seconds. In one process; a reload keeps it."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._running: set[str] = set()

    @property
    def running(self) -> int:
        return len(self._running)

    def begin(self, id: str, book: SpendingBook, limits: LearnSettings, expected: ShadowCost) -> str | None:
        """Reserve what the request `id` is expected to take, until `end`; else which limit stands in the way."""
        if len(self._running) >= limits.shadow_running:
            return "shadow_running"
        if not self._reserve(id, book, TOKENS, limits.shadow_tokens, expected.tokens):
            return "shadow_tokens"
        if not self._reserve(id, book, DOLLARS, limits.shadow_usd, expected.dollars):
            self._release(id, book, TOKENS)
            return "shadow_usd"
        self._running.add(id)
        return None

    def end(self, id: str, book: SpendingBook) -> None:
        self._running.discard(id)
        for scope in (TOKENS, DOLLARS):
            self._release(id, book, scope)

    def spend(self, record: Record, book: SpendingBook) -> None:
        """An answer in the background has ended."""
        for scope, amount in ((TOKENS, record.completion_tokens or 0), (DOLLARS, record.cost or 0.0)):
            with book.change(scope) as entry:
                self._today(entry)
                entry.state.spent += amount

    def _reserve(self, id: str, book: SpendingBook, scope: str, cap: float, amount: float) -> bool:
        with book.change(scope) as entry:
            self._today(entry)
            reserved = entry.running.total.most + entry.others.most
            if entry.state.spent + reserved + amount > cap or entry.state.spent >= cap > 0 or (not cap and amount):
                return False
            entry.running.add(id, Expected(amount, amount))
            return True

    def _release(self, id: str, book: SpendingBook, scope: str) -> None:
        with book.change(scope) as entry:
            entry.running.drop(id)

    def _today(self, entry: Entry) -> None:
        state, now = entry.state, self._clock()
        day = float(now // DAY_S)
        if day > state.window:
            state.window, state.spent = day, 0.0
        elif day < state.window - 1:
            state.window = day
        state.last = now
