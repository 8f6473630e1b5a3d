"""Checks of a key's limits, when they reset, and the response headers about them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.auth import windows
from gateway.auth.limits import Limits
from gateway.auth.usage_row import UsageRow
from gateway.core.aliases import Headers
from gateway.core.errors import BodyTooLarge, QuotaExceeded

RATE, QUOTA = "rate_limit_exceeded", "insufficient_quota"
# Running requests will release what they do not use, at an unknown time.
SOON_S = 1.0


@dataclass(slots=True)
class Window:
    """One limit: its size, how much is used, the part of that still reserved, and the seconds until it resets."""

    name: str
    limit: float
    used: float
    reserved: float
    reset_s: float

    @property
    def left(self) -> float:
        return max(self.limit - self.used, 0)


def thinking(limits: Limits, counts: UsageRow, now: float) -> Window | None:
    """The thinking quota with the least left; None if the key has none."""
    hour = day = None
    if limits.thinking_per_hour is not None:
        used = counts.hour_used + counts.held_thinking
        hour = Window("hour", limits.thinking_per_hour, used, counts.held_thinking, windows.left(now, windows.HOUR))
    if limits.thinking_per_day is not None:
        used = counts.day_used + counts.held_thinking
        day = Window("day", limits.thinking_per_day, used, counts.held_thinking, windows.left(now, windows.DAY))
    # On a tie the longer window decides.
    return hour if day is None or (hour is not None and hour.left < day.left) else day


def no_thinking_left(window: Window, need: int, less: str) -> QuotaExceeded:
    """The error for a request that needs more thinking than is left; `less` says how to need less."""
    limit, left = int(window.limit), int(window.left)
    message = f"This request may take {need} thinking tokens; of {limit} per {window.name}, {left} are left"
    if need > limit:
        return QuotaExceeded(
            "insufficient_quota", QUOTA, f"{message}: that exceeds the key's whole quota.", window.reset_s
        )
    if need <= window.left + window.reserved:
        return QuotaExceeded("tokens", RATE, f"{message} while other requests of the key are running.", SOON_S)
    return QuotaExceeded("insufficient_quota", QUOTA, f"{message}. {less}", window.reset_s)


def check_requests(limits: Limits, counts: UsageRow, now: float, size: int) -> None:
    """QuotaExceeded: the key has reached a request limit. BodyTooLarge: the body exceeds its limit by itself."""
    if limits.requests_per_minute is not None and counts.requests >= limits.requests_per_minute:
        message = f"The key's limit of {limits.requests_per_minute} requests per minute is reached."
        raise QuotaExceeded("requests", RATE, message, windows.left(now, windows.MINUTE))
    if limits.max_parallel_requests is not None and counts.running >= limits.max_parallel_requests:
        message = f"The key's limit of {limits.max_parallel_requests} parallel requests is reached."
        raise QuotaExceeded("requests", RATE, message, SOON_S)
    if limits.max_bytes_in_flight is not None:
        check_bytes(limits.max_bytes_in_flight, counts.bytes, size)


def check_bytes(limit: int, others: int, size: int) -> None:
    """QuotaExceeded: no room beside `others` bytes of running requests. BodyTooLarge: there never is."""
    if size > limit:
        raise BodyTooLarge(f"The request body is larger than the {limit} bytes that the key may have in flight.")
    if others + size > limit:
        message = f"The key's limit of {limit} bytes in flight is reached: its running requests hold {others}."
        raise QuotaExceeded("requests", RATE, message, SOON_S)


def check_tokens(limits: Limits, counts: UsageRow, now: float) -> None:
    """QuotaExceeded: this minute's tokens are used up or reserved. The request that reaches the limit still runs."""
    limit = limits.tokens_per_minute
    if limit is None or counts.tokens + counts.held_tokens < limit:
        return
    if counts.tokens < limit:
        message = f"The key's limit of {limit} tokens per minute may be reached by its running requests."
        raise QuotaExceeded("tokens", RATE, message, SOON_S)
    message = f"The key's limit of {limit} tokens per minute is reached."
    raise QuotaExceeded("tokens", RATE, message, windows.left(now, windows.MINUTE))


def check_dollars(limits: Limits, counts: UsageRow, now: float, need: float) -> None:
    """QuotaExceeded: a request that may cost `need` dollars may cost more than is left."""
    for limit, spent, name in (
        (limits.dollars_per_month, counts.month_dollars, "month"),
        (limits.dollars_per_day, counts.day_dollars, "day"),
    ):
        if limit is None or (spent < limit and spent + counts.held_dollars + need <= limit):
            continue
        wait = windows.left_of_month(now) if name == "month" else windows.left(now, windows.DAY)
        if spent >= limit:
            message = f"The key's limit of {limit:g} dollars per {name} is reached."
            raise QuotaExceeded("insufficient_quota", QUOTA, message, wait)
        if spent + need <= limit:
            message = f"The key's limit of {limit:g} dollars per {name} may be reached by its running requests."
            raise QuotaExceeded("tokens", RATE, message, SOON_S)
        left = f"of {limit:g} per {name}, {limit - spent:.4g} are left"
        message = f"This request may cost {need:.4g} dollars; {left}. Use a smaller max_tokens, or effort."
        raise QuotaExceeded("insufficient_quota", QUOTA, message, wait)


def headers(limits: Limits, counts: UsageRow, now: float) -> Headers:
    """What is left, in OpenAI's rate-limit headers and, for thinking, in our own."""
    fields: dict[str, str] = {}
    reset = f"{math.ceil(windows.left(now, windows.MINUTE))}s"
    for name, limit, used in (
        ("requests", limits.requests_per_minute, counts.requests),
        ("tokens", limits.tokens_per_minute, counts.tokens + counts.held_tokens),
    ):
        if limit is not None:
            fields[f"x-ratelimit-limit-{name}"] = str(limit)
            fields[f"x-ratelimit-remaining-{name}"] = str(max(limit - used, 0))
            fields[f"x-ratelimit-reset-{name}"] = reset
    window = thinking(limits, counts, now)
    if window is not None:
        fields["x-thinkgate-limit-thinking"] = str(int(window.limit))
        fields["x-thinkgate-remaining-thinking"] = str(int(window.left))
        fields["x-thinkgate-reset-thinking"] = f"{math.ceil(window.reset_s)}s"
    return fields
