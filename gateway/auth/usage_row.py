"""A key's usage, in the current windows and in total: one row of numbers."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from mmap import mmap
from operator import attrgetter
from typing import Any

from gateway.auth import windows
from gateway.auth.lane import Holding

_ROW = struct.Struct("<14q5d2qqdq")


@dataclass(slots=True)
class UsageRow:
    """Windows are numbered by the clock; tokens in tokens, money in dollars, `last_used` in seconds since 1970.

    `used` is what finished requests spent, in the windows in which they ended; `held` what the `running` ones, with
    `bytes` of bodies, may still spend at worst, whenever they began. `slack` is the part of that which they are not
    expected to spend. Releases that do not know it leave it alone, and count on the worst.
    """

    minute: int = 0
    hour: int = 0
    day: int = 0
    month: int = 0
    requests: int = 0
    tokens: int = 0
    hour_used: int = 0
    held_tokens: int = 0
    day_used: int = 0
    held_thinking: int = 0
    all_requests: int = 0
    all_prompt: int = 0
    all_completion: int = 0
    all_thinking: int = 0
    held_dollars: float = 0.0
    day_dollars: float = 0.0
    month_dollars: float = 0.0
    all_dollars: float = 0.0
    last_used: float = 0.0
    running: int = 0
    bytes: int = 0
    slack_thinking: int = 0
    slack_dollars: float = 0.0
    all_degraded: int = 0

    @property
    def held(self) -> Holding:
        return Holding(*held(self))

    @property
    def expected_thinking(self) -> int:
        """Thinking tokens that running requests are expected to spend."""
        return self.held_thinking - self.slack_thinking

    @property
    def expected_dollars(self) -> float:
        return self.held_dollars - self.slack_dollars

    def take(self, more: Holding) -> None:
        """Add a reservation."""
        self.running += more.running
        self.bytes += more.bytes
        self.held_tokens += more.tokens
        self.held_thinking += more.thinking
        self.held_dollars += more.dollars
        self.slack_thinking += more.slack_thinking
        self.slack_dollars += more.slack_dollars

    def give_back(self, held: Holding) -> None:
        """Release a reservation. The row may hold less if a process died in the middle of a change."""
        self.running = max(self.running - held.running, 0)
        self.bytes = max(self.bytes - held.bytes, 0)
        self.held_tokens = max(self.held_tokens - held.tokens, 0)
        self.held_thinking = max(self.held_thinking - held.thinking, 0)
        self.held_dollars = max(self.held_dollars - held.dollars, 0.0) if self.running else 0.0
        self.slack_thinking -= held.slack_thinking
        self.slack_dollars -= held.slack_dollars
        self.check_slack()

    def check_slack(self) -> None:
        """Never more than is held, also after a release that does not know it has given something back."""
        self.slack_thinking = min(max(self.slack_thinking, 0), self.held_thinking) if self.running else 0
        self.slack_dollars = min(max(self.slack_dollars, 0.0), self.held_dollars) if self.running else 0.0

    def roll(self, now: float) -> None:
        """Reset the windows that are not current.

        A later window counts as over, too: if the clock jumps ahead and is corrected, keys are not locked out until the
        time it jumped to.
        """
        minute, hour, day = int(now // windows.MINUTE), int(now // windows.HOUR), int(now // windows.DAY)
        if minute == self.minute:
            return
        self.minute, self.requests, self.tokens = minute, 0, 0
        if hour != self.hour:
            self.hour, self.hour_used = hour, 0
        if day != self.day:
            self.day, self.day_used, self.day_dollars = day, 0, 0.0
        month = windows.month(now)
        if month != self.month:
            self.month, self.month_dollars = month, 0.0

    def report(self) -> dict[str, Any]:
        """Usage in the current windows and in total, as JSON fields."""
        thinking_held = {
            "thinking_tokens_held": self.held_thinking,
            "thinking_tokens_expected": self.expected_thinking,
        }
        return {
            "last_used": self.last_used or None,
            "now": {
                "requests": self.running,
                "bytes": self.bytes,
                "tokens_held": self.held_tokens,
                "dollars_held": self.held_dollars,
            },
            "minute": {"requests": self.requests, "tokens": self.tokens},
            "hour": {"thinking_tokens": self.hour_used, **thinking_held},
            "day": {"thinking_tokens": self.day_used, **thinking_held, "dollars": self.day_dollars},
            "month": {"dollars": self.month_dollars},
            "all": {
                "requests": self.all_requests,
                "degraded": self.all_degraded,
                "prompt_tokens": self.all_prompt,
                "completion_tokens": self.all_completion,
                "thinking_tokens": self.all_thinking,
                "dollars": self.all_dollars,
            },
        }


SIZE = _ROW.size
# The fields of a `UsageRow` that form a `Holding`.
held = attrgetter("running", "bytes", "held_tokens", "held_thinking", "held_dollars", "slack_thinking", "slack_dollars")
_values = attrgetter(*(field.name for field in fields(UsageRow)))


def read(buffer: mmap, at: int) -> UsageRow:
    counts = UsageRow(*_ROW.unpack_from(buffer, at))
    counts.check_slack()
    return counts


def write(buffer: mmap, at: int, counts: UsageRow) -> None:
    _ROW.pack_into(buffer, at, *_values(counts))
