"""The windows of limits: the minute, hour, day and month of the clock, in UTC.

Fixed, not sliding: a fixed window needs one number per limit, and its reset time is exact. A client that spends one
window just before its end and the next just after gets twice the limit in a short time.
"""

from __future__ import annotations

import time
from calendar import timegm

MINUTE, HOUR, DAY = 60, 3600, 86400


def month(now: float) -> int:
    """Months since the year 0."""
    moment = time.gmtime(now)
    return moment.tm_year * 12 + moment.tm_mon - 1


def left(now: float, length: int) -> float:
    """Seconds to the end of the window of this length, in seconds."""
    return length - now % length


def left_of_month(now: float) -> float:
    year, index = divmod(month(now) + 1, 12)
    return timegm((year, index + 1, 1, 0, 0, 0)) - now
