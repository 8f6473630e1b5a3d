"""What one key has used, in the windows of now and since it was made: a row of numbers."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from mmap import mmap
from operator import attrgetter
from typing import Any

from gateway.access import windows

_ROW = struct.Struct("<14q5d")


@dataclass(slots=True)
class Counts:
    """Windows are numbered by the clock; tokens in tokens, money in dollars, `last_used` in seconds since 1970.

    `held` is what running requests may still spend; `used` what finished ones have spent. A process that is killed
    leaves what its requests held in the windows that they began in.
    """

    minute: int = 0
    hour: int = 0
    day: int = 0
    month: int = 0
    requests: int = 0
    tokens: int = 0
    hour_used: int = 0
    hour_held: int = 0
    day_used: int = 0
    day_held: int = 0
    all_requests: int = 0
    all_prompt: int = 0
    all_completion: int = 0
    all_thinking: int = 0
    dollars_held: float = 0.0
    day_dollars: float = 0.0
    month_dollars: float = 0.0
    all_dollars: float = 0.0
    last_used: float = 0.0

    def roll(self, now: float) -> None:
        """Start the windows anew that are no longer those of now.

        Any other window counts as over, a later one too: a clock that jumped ahead and was put right again opens each
        window once more, and locks nobody out until it is the year that it jumped to.
        """
        minute, hour, day = int(now // windows.MINUTE), int(now // windows.HOUR), int(now // windows.DAY)
        if minute == self.minute:
            return
        self.minute, self.requests, self.tokens = minute, 0, 0
        if hour != self.hour:
            self.hour, self.hour_used, self.hour_held = hour, 0, 0
        if day != self.day:
            self.day, self.day_used, self.day_held, self.day_dollars = day, 0, 0, 0.0
            self.dollars_held = 0.0
        month = windows.month(now)
        if month != self.month:
            self.month, self.month_dollars = month, 0.0

    def told(self) -> dict[str, Any]:
        """What was used in the windows of now, and in all."""
        return {
            "last_used": self.last_used or None,
            "minute": {"requests": self.requests, "tokens": self.tokens},
            "hour": {"thinking_tokens": self.hour_used, "thinking_tokens_held": self.hour_held},
            "day": {
                "thinking_tokens": self.day_used,
                "thinking_tokens_held": self.day_held,
                "dollars": self.day_dollars,
            },
            "month": {"dollars": self.month_dollars},
            "all": {
                "requests": self.all_requests,
                "prompt_tokens": self.all_prompt,
                "completion_tokens": self.all_completion,
                "thinking_tokens": self.all_thinking,
                "dollars": self.all_dollars,
            },
        }


SIZE = _ROW.size
_values = attrgetter(*(field.name for field in fields(Counts)))


def read(buffer: mmap, at: int) -> Counts:
    return Counts(*_ROW.unpack_from(buffer, at))


def write(buffer: mmap, at: int, counts: Counts) -> None:
    _ROW.pack_into(buffer, at, *_values(counts))
