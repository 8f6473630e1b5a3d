"""What the pairs of experiments have spent, against their limits. In one process; a reload keeps it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from gateway.config.paired import WINDOW_S, PairedSettings
from gateway.core.record import Record

MINUTE_S = 60.0


@dataclass(slots=True)
class PairedSpending:
    """`running` requests are answered again now; `begun` have been in this `minute`, and in this `window` their answers
    have cost so many `tokens` and `dollars`.
    """

    running: int = 0
    minute: int = -1
    begun: int = 0
    window: int = -1
    tokens: float = 0.0
    dollars: float = 0.0


class PairedLedger:
    """`clock` is the wall clock, in seconds. What runs when a window begins counts there."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._spent: dict[str, PairedSpending] = defaultdict(PairedSpending)

    @property
    def running(self) -> int:
        """Requests that are answered again now, of all experiments."""
        return sum(spent.running for spent in self._spent.values())

    def begin(self, experiment: str, limits: PairedSettings) -> str | None:
        """Count one more, to be followed by `end`; else which limit stands in the way."""
        spent = self._now(experiment, limits)
        full = {
            "max_running": spent.running >= limits.max_running,
            "max_per_minute": limits.max_per_minute is not None and spent.begun >= limits.max_per_minute,
            "max_tokens": limits.max_tokens is not None and spent.tokens >= limits.max_tokens,
            "max_dollars": limits.max_dollars is not None and spent.dollars >= limits.max_dollars,
        }
        reached = next((name for name, is_full in full.items() if is_full), None)
        if reached is None:
            spent.running += 1
            spent.begun += 1
        return reached

    def end(self, experiment: str) -> None:
        self._spent[experiment].running -= 1

    def observe(self, record: Record) -> None:
        """An answer of another arm has ended."""
        spent = self._spent[record.experiment or ""]
        discarded = record.probe_tokens or 0 if record.probe != "kept" else 0
        spent.tokens += (record.completion_tokens or 0) + discarded
        spent.dollars += record.cost or 0.0

    def _now(self, experiment: str, limits: PairedSettings) -> PairedSpending:
        spent, now = self._spent[experiment], self._clock()
        minute, window = int(now // MINUTE_S), int(now // WINDOW_S[limits.every])
        if minute != spent.minute:
            spent.minute, spent.begun = minute, 0
        if window != spent.window:
            spent.window, spent.tokens, spent.dollars = window, 0.0, 0.0
        return spent
