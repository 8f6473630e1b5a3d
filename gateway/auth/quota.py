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
    """One limit: its size, how much is gone, the part of that still reserved, and the seconds until it resets."""

    name: str
    limit: float
    gone: float
    held: float
    reset_s: float

    @property
    def left(self) -> float:
        return max(self.limit - self.gone, 0)


def thinking(limits: Limits, counts: UsageRow, now: float) -> Window | None:
    """The thinking quota with the least left; None if the key has none."""
    hour = day = None
    if limits.thinking_per_hour is not None:
        gone = counts.hour_used + counts.held_thinking
        hour = Window("hour", limits.thinking_per_hour, gone, counts.held_thinking, windows.left(now, windows.HOUR))
    if limits.thinking_per_day is not None:
        gone = counts.day_used + counts.held_thinking
        day = Window("day", limits.thinking_per_day, gone, counts.held_thinking, windows.left(now, windows.DAY))
    # On a tie the longer window decides.
    return hour if day is None or (hour is not None and hour.left < day.left) else day


def no_thinking_left(window: Window, need: int, less: str) -> QuotaExceeded:
    """The error for a request that needs more thinking than is left; `less` says how to need less."""
    limit, left = int(window.limit), int(window.left)
    said = f"This request may take {need} thinking tokens; of {limit} per {window.name}, {left} are left"
    if need > limit:
        return QuotaExceeded(
            "insufficient_quota", QUOTA, f"{said}: that exceeds the key's whole quota.", window.reset_s
        )
    if need <= window.left + window.held:
        return QuotaExceeded("tokens", RATE, f"{said} while other requests of the key are running.", SOON_S)
    return QuotaExceeded("insufficient_quota", QUOTA, f"{said}. {less}", window.reset_s)


def check_requests(limits: Limits, counts: UsageRow, now: float, size: int) -> None:
    """QuotaExceeded: the key has reached a request limit. BodyTooLarge: the body exceeds its limit by itself."""
    if limits.requests_per_minute is not None and counts.requests >= limits.requests_per_minute:
        said = f"The key's limit of {limits.requests_per_minute} requests per minute is reached."
        raise QuotaExceeded("requests", RATE, said, windows.left(now, windows.MINUTE))
    if limits.max_parallel_requests is not None and counts.running >= limits.max_parallel_requests:
        said = f"The key's limit of {limits.max_parallel_requests} parallel requests is reached."
        raise QuotaExceeded("requests", RATE, said, SOON_S)
    if limits.max_bytes_in_flight is not None:
        check_bytes(limits.max_bytes_in_flight, counts.bytes, size)


def check_bytes(limit: int, others: int, size: int) -> None:
    """QuotaExceeded: no room beside `others` bytes of running requests. BodyTooLarge: there never is."""
    if size > limit:
        raise BodyTooLarge(f"The request body is larger than the {limit} bytes that the key may have in flight.")
    if others + size > limit:
        said = f"The key's limit of {limit} bytes in flight is reached: its running requests hold {others}."
        raise QuotaExceeded("requests", RATE, said, SOON_S)


def check_tokens(limits: Limits, counts: UsageRow, now: float) -> None:
    """QuotaExceeded: this minute's tokens are used up or reserved. The request that reaches the limit still runs."""
    limit = limits.tokens_per_minute
    if limit is None or counts.tokens + counts.held_tokens < limit:
        return
    if counts.tokens < limit:
        said = f"The key's limit of {limit} tokens per minute may be reached by its running requests."
        raise QuotaExceeded("tokens", RATE, said, SOON_S)
    said = f"The key's limit of {limit} tokens per minute is reached."
    raise QuotaExceeded("tokens", RATE, said, windows.left(now, windows.MINUTE))


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
            said = f"The key's limit of {limit:g} dollars per {name} is reached."
            raise QuotaExceeded("insufficient_quota", QUOTA, said, wait)
        if spent + need <= limit:
            said = f"The key's limit of {limit:g} dollars per {name} may be reached by its running requests."
            raise QuotaExceeded("tokens", RATE, said, SOON_S)
        left = f"of {limit:g} per {name}, {limit - spent:.4g} are left"
        said = f"This request may cost {need:.4g} dollars; {left}. Use a smaller max_tokens, or effort."
        raise QuotaExceeded("insufficient_quota", QUOTA, said, wait)


def headers(limits: Limits, counts: UsageRow, now: float) -> Headers:
    """What is left, in OpenAI's rate-limit headers and, for thinking, in our own."""
    told: dict[str, str] = {}
    reset = f"{math.ceil(windows.left(now, windows.MINUTE))}s"
    for name, limit, gone in (
        ("requests", limits.requests_per_minute, counts.requests),
        ("tokens", limits.tokens_per_minute, counts.tokens + counts.held_tokens),
    ):
        if limit is not None:
            told[f"x-ratelimit-limit-{name}"] = str(limit)
            told[f"x-ratelimit-remaining-{name}"] = str(max(limit - gone, 0))
            told[f"x-ratelimit-reset-{name}"] = reset
    window = thinking(limits, counts, now)
    if window is not None:
        told["x-thinkgate-limit-thinking"] = str(int(window.limit))
        told["x-thinkgate-remaining-thinking"] = str(int(window.left))
        told["x-thinkgate-reset-thinking"] = f"{math.ceil(window.reset_s)}s"
    return told
