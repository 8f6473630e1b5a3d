"""What is left of a limit on thinking tokens, now: of what is expected, and of what may happen at worst."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.auth import windows
from gateway.auth.account import Account
from gateway.auth.usage_row import UsageRow


@dataclass(frozen=True, slots=True)
class ThinkingWindow:
    """One limit, in tokens: its size, the most it may ever come to, what finished requests used, and what running ones
    are expected to use, and use at worst. It is over in `reset_s` seconds.
    """

    whose: str
    name: str
    limit: int
    most: int
    used: int
    expected: int
    worst: int
    reset_s: float

    @property
    def unused(self) -> int:
        """What would be left if no request were running."""
        return max(self.limit - self.used, 0)

    @property
    def left(self) -> int:
        """What is left beside what running requests are expected to use."""
        return max(self.limit - self.used - self.expected, 0)

    @property
    def room(self) -> int:
        """The largest thinking budget that fits now, if all of it is expected to be used."""
        return max(min(self.left, self.most - self.used - self.worst), 0)

    def fits(self, expected: int, worst: int) -> bool:
        """The two promises: the expected sum stays within the limit, and the worst case within `most`."""
        used = self.used
        return used + self.expected + expected <= self.limit and used + self.worst + worst <= self.most

    def alone(self, expected: int, worst: int) -> bool:
        """Whether it would fit if no request were running."""
        return self.used + expected <= self.limit and self.used + worst <= self.most


def of(accounts: Sequence[Account], counted: Sequence[UsageRow], now: float) -> Iterator[ThinkingWindow]:
    """The windows of all limits on thinking; of equal ones the longer comes first."""
    for account, counts in zip(accounts, counted, strict=True):
        limits = account.limits
        for name, limit, used, length in (
            ("day", limits.thinking_per_day, counts.day_used, windows.DAY),
            ("hour", limits.thinking_per_hour, counts.hour_used, windows.HOUR),
        ):
            if limit is not None:
                most, reset_s = limit + int(limit * (limits.overspend or 0.0)), windows.left(now, length)
                held = counts.expected_thinking, counts.held_thinking
                yield ThinkingWindow(account.whose, name, limit, most, used, *held, reset_s)
