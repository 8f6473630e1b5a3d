"""Checks of limits, when they reset, and the response headers about them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gateway.auth import thinking_window, windows
from gateway.auth.account import Account
from gateway.auth.need import Need
from gateway.auth.thinking_window import ThinkingWindow
from gateway.auth.usage_row import UsageRow
from gateway.core.aliases import Headers
from gateway.core.errors import BodyTooLarge, QuotaExceeded

RATE, QUOTA = "rate_limit_exceeded", "insufficient_quota"
# Running requests will release what they do not use, at an unknown time.
SOON_S = 1.0
HELD = "is held by running requests"


class HeldByRunning(QuotaExceeded):
    """There would be enough if no other request were running: it may soon be."""

    def __init__(self, message: str) -> None:
        super().__init__("tokens", RATE, message, SOON_S)


class NoThinkingLeft(QuotaExceeded):
    """There is not enough left even without the running requests."""


def check_thinking(windows: Sequence[ThinkingWindow], need: Need, less: str) -> None:
    """NoThinkingLeft, HeldByRunning: it needs more thinking than is left; `less` says how to need less."""
    if not need.thinking:
        return
    short = [window for window in windows if not window.fits(need.expected_thinking, need.thinking)]
    for window in short:
        if not window.alone(need.expected_thinking, need.thinking):
            raise no_thinking_left(window, need.thinking, less)
    for window in short:
        raise HeldByRunning(f"{_asks_for(window, need.thinking)} and the rest {HELD} of the {window.whose}.")


def no_thinking_left(window: ThinkingWindow, need: int, less: str) -> NoThinkingLeft:
    """The error for a request that needs more thinking than is not used yet; `less` says how to need less."""
    message = _asks_for(window, need)
    if need > window.most:
        message += f": that exceeds the {window.whose}'s whole quota."
    else:
        message += f" to the {window.whose}. {less}"
    return NoThinkingLeft("insufficient_quota", QUOTA, message, window.reset_s)


def _asks_for(window: ThinkingWindow, need: int) -> str:
    left = f"of {window.limit} per {window.name}, {window.room} are left"
    return f"This request may take {need} thinking tokens; {left}"


def check_requests(account: Account, counts: UsageRow, now: float, size: int) -> None:
    """QuotaExceeded: a limit on requests is reached. BodyTooLarge: the body exceeds its limit by itself."""
    limits, whose = account.limits, account.whose
    if limits.requests_per_minute is not None and counts.requests >= limits.requests_per_minute:
        message = f"The {whose}'s limit of {limits.requests_per_minute} requests per minute is reached."
        raise QuotaExceeded("requests", RATE, message, windows.left(now, windows.MINUTE))
    if limits.max_parallel_requests is not None and counts.running >= limits.max_parallel_requests:
        message = f"The {whose}'s limit of {limits.max_parallel_requests} parallel requests is reached."
        raise QuotaExceeded("requests", RATE, message, SOON_S)
    if limits.max_bytes_in_flight is not None:
        check_bytes(account, counts.bytes, size)


def check_bytes(account: Account, others: int, size: int) -> None:
    """QuotaExceeded: no room beside `others` bytes of running requests. BodyTooLarge: there never is."""
    limit, whose = account.limits.max_bytes_in_flight, account.whose
    if limit is None:
        return
    if size > limit:
        raise BodyTooLarge(f"The request body is larger than the {limit} bytes that the {whose} may have in flight.")
    if others + size > limit:
        message = f"The {whose}'s limit of {limit} bytes in flight is reached: its running requests hold {others}."
        raise QuotaExceeded("requests", RATE, message, SOON_S)


def check_tokens(account: Account, counts: UsageRow, now: float) -> None:
    """QuotaExceeded: this minute's tokens are used up or reserved. The request that reaches the limit still runs."""
    limit, whose = account.limits.tokens_per_minute, account.whose
    if limit is None or counts.tokens + counts.held_tokens < limit:
        return
    if counts.tokens < limit:
        raise HeldByRunning(f"What is left of the {whose}'s limit of {limit} tokens per minute {HELD}.")
    message = f"The {whose}'s limit of {limit} tokens per minute is reached."
    raise QuotaExceeded("tokens", RATE, message, windows.left(now, windows.MINUTE))


def check_dollars(account: Account, counts: UsageRow, now: float, need: Need) -> None:
    """QuotaExceeded: a request that may cost this much may cost more than is left."""
    limits, whose = account.limits, account.whose
    share = 1 + (limits.overspend_dollars or 0.0)
    for limit, spent, name in (
        (limits.dollars_per_month, counts.month_dollars, "month"),
        (limits.dollars_per_day, counts.day_dollars, "day"),
    ):
        if limit is None:
            continue
        expected, worst = spent + need.expected_dollars, spent + need.dollars
        alone = spent < limit and expected <= limit and worst <= limit * share
        if alone and expected + counts.expected_dollars <= limit and worst + counts.held_dollars <= limit * share:
            continue
        if alone:
            raise HeldByRunning(f"What is left of the {whose}'s limit of {limit:g} dollars per {name} {HELD}.")
        wait = windows.left_of_month(now) if name == "month" else windows.left(now, windows.DAY)
        if spent >= limit:
            message = f"The {whose}'s limit of {limit:g} dollars per {name} is reached."
        else:
            left = f"of {limit:g} per {name}, {limit - spent:.4g} are left to the {whose}"
            message = f"This request may cost {need.dollars:.4g} dollars; {left}. Use a smaller max_tokens, or effort."
        raise QuotaExceeded("insufficient_quota", QUOTA, message, wait)


def headers(accounts: Sequence[Account], counted: Sequence[UsageRow], now: float) -> Headers:
    """What is left, in OpenAI's rate-limit headers and, for thinking, in our own: of several limits, the nearest."""
    fields: dict[str, str] = {}
    reset = f"{math.ceil(windows.left(now, windows.MINUTE))}s"
    for name in ("requests", "tokens"):
        left = [
            (max(limit - _used(name, counts), 0), limit)
            for account, counts in zip(accounts, counted, strict=True)
            if (limit := getattr(account.limits, f"{name}_per_minute")) is not None
        ]
        if left:
            remaining, limit = min(left)
            fields[f"x-ratelimit-limit-{name}"] = str(limit)
            fields[f"x-ratelimit-remaining-{name}"] = str(remaining)
            fields[f"x-ratelimit-reset-{name}"] = reset
    window = min(thinking_window.of(accounts, counted, now), key=lambda window: window.left, default=None)
    if window is not None:
        fields["x-thinkgate-limit-thinking"] = str(window.limit)
        fields["x-thinkgate-remaining-thinking"] = str(window.left)
        fields["x-thinkgate-reset-thinking"] = f"{math.ceil(window.reset_s)}s"
    return fields


def _used(name: str, counts: UsageRow) -> int:
    """In this minute, by finished and running requests."""
    return counts.requests if name == "requests" else counts.tokens + counts.held_tokens
