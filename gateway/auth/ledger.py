"""What one request holds in the accounts of its key and team, and what it is charged there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.auth import quota, thinking_window
from gateway.auth.account import Account
from gateway.auth.key import Clock
from gateway.auth.lane import NONE, Holding
from gateway.auth.need import NOTHING, Need
from gateway.auth.thinking_window import ThinkingWindow
from gateway.auth.usage_row import UsageRow
from gateway.auth.usage_store import UsageStore
from gateway.core.aliases import Headers

# A body of unknown length reserves bytes in steps of this size.
STEP_BYTES = 1024 * 1024


class Spent(NamedTuple):
    """What a finished request used, in tokens and dollars; `degraded`: a quota made its answer think less."""

    prompt: int
    completion: int
    thinking: int
    dollars: float
    degraded: bool = False


class Ledger:
    """A request counts in the minute in which it arrives, its spending in the windows in which it ends."""

    __slots__ = ("_accounts", "_clock", "_counted", "_counters", "_held", "_is_counted", "_slots", "need")

    def __init__(self, accounts: Sequence[Account], counters: UsageStore, clock: Clock) -> None:
        self._accounts = accounts
        self._slots = tuple([account.slot for account in accounts])
        self._is_counted = any(account.limits.counted for account in accounts)
        self._counters = counters
        self._clock = clock
        self._counted: tuple[UsageRow, ...] = ()
        self._held = NONE
        self.need = NOTHING

    @property
    def slots(self) -> tuple[int, ...]:
        return self._slots

    @property
    def running(self) -> int:
        """How many requests ran when it was last looked at: of the key or the team, whichever has more."""
        return max([counts.running for counts in self._counted], default=0)

    def admit(self, size: int) -> None:
        """Count the request, with a place and so many bytes. QuotaExceeded, BodyTooLarge: there is no room for it."""
        if not self._is_counted:
            return
        now = self._clock()
        with self._counters.change(self._slots, now) as counted:
            self._counted = counted
            self._enter(counted, now, size)
        self._held = Holding(1, size)

    def arrived(self, size: int) -> None:
        """Reserve room for so many bytes of its body. QuotaExceeded, BodyTooLarge: there is none."""
        limited = [limit for account in self._accounts if (limit := account.limits.max_bytes_in_flight) is not None]
        if not limited or size <= self._held.bytes:
            return
        wanted = -(-size // STEP_BYTES) * STEP_BYTES
        with self._counters.change(self._slots, self._clock()) as counted:
            for account, counts in zip(self._accounts, counted, strict=True):
                others, limit = counts.bytes - self._held.bytes, account.limits.max_bytes_in_flight
                quota.check_bytes(account, others, size)
                wanted = wanted if limit is None else min(wanted, limit - others)
            for counts in counted:
                counts.bytes += wanted - self._held.bytes
        self._held = self._held._replace(bytes=wanted)

    def windows(self) -> list[ThinkingWindow]:
        """What is used and held of each limit on thinking, by this request, too."""
        now = self._clock()
        self._counted = tuple([self._counters.read(slot, now) for slot in self._slots])
        return list(thinking_window.of(self._accounts, self._counted, now))

    def hold(self, need: Need, less: str) -> None:
        """Reserve this instead of what is reserved now. QuotaExceeded: it is not left; HeldByRunning: but soon may be.

        Neither changes anything.
        """
        now = self._clock()
        with self._counters.change(self._slots, now) as counted:
            self._counted = counted
            if not self._held.running:
                self._enter(counted, now, 0)
            self._give_back(counted)
            if not self._held.tokens:
                for account, counts in zip(self._accounts, counted, strict=True):
                    quota.check_tokens(account, counts, now)
            windows = list(thinking_window.of(self._accounts, counted, now))
            room = min([window.room for window in windows], default=need.thinking)
            if need.flexible and need.thinking > room > 0:
                need = need.at_most(room)
            quota.check_thinking(windows, need, less)
            for account, counts in zip(self._accounts, counted, strict=True):
                quota.check_dollars(account, counts, now, need)
            self._take(counted, need)

    def secure(self, most: int) -> int:
        """Reserve up to `most` thinking tokens for a plan that is made within them; returns how many there are.

        Without any, nothing but its place. QuotaExceeded: it had no place yet, and there is none.
        """
        now = self._clock()
        with self._counters.change(self._slots, now) as counted:
            self._counted = counted
            if not self._held.running:
                self._enter(counted, now, 0)
            self._give_back(counted)
            room = min([window.room for window in thinking_window.of(self._accounts, counted, now)], default=most)
            tokens = min(room, most)
            self._take(counted, Need(thinking=tokens, expected_thinking=tokens) if tokens else self.need)
        return tokens

    def settle(self, spent: Spent) -> None:
        """Charge what was used, in place of what is reserved."""
        now = self._clock()
        with self._counters.change(self._slots, now) as counted:
            self._counted = counted
            for counts in counted:
                if self._held.running:
                    counts.give_back(self._held)
                else:  # nothing limits the key
                    counts.requests += 1
                _charge(counts, spent, now)
        self._held, self.need = NONE, NOTHING

    def leave(self) -> bool:
        """Give back what is reserved; False: nothing is."""
        if not self._held.running:
            return False
        with self._counters.change(self._slots, self._clock()) as counted:
            self._counted = counted
            for counts in counted:
                counts.give_back(self._held)
        self._held = NONE
        return True

    def headers(self) -> Headers:
        return quota.headers(self._accounts, self._counted, self._clock()) if self._counted else {}

    def _enter(self, counted: Sequence[UsageRow], now: float, size: int) -> None:
        for account, counts in zip(self._accounts, counted, strict=True):
            quota.check_requests(account, counts, now, size)
        for counts in counted:
            counts.requests += 1
            counts.take(Holding(1, size))

    def _give_back(self, counted: Sequence[UsageRow]) -> None:
        """All but its place and the bytes of its body."""
        for counts in counted:
            counts.give_back(self._held._replace(running=0, bytes=0))

    def _take(self, counted: Sequence[UsageRow], need: Need) -> None:
        more = need.holding(0, 0)
        for counts in counted:
            counts.take(more)
        self.need, self._held = need, more._replace(running=1, bytes=self._held.bytes)


def _charge(counts: UsageRow, spent: Spent, now: float) -> None:
    counts.tokens += spent.prompt + spent.completion
    counts.hour_used += spent.thinking
    counts.day_used += spent.thinking
    counts.day_dollars += spent.dollars
    counts.month_dollars += spent.dollars
    counts.last_used = now
    counts.all_requests += 1
    counts.all_prompt += spent.prompt
    counts.all_completion += spent.completion
    counts.all_thinking += spent.thinking
    counts.all_dollars += spent.dollars
    counts.all_degraded += spent.degraded
