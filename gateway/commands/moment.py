"""Points in time as options of commands: `2026-11-30`, `2026-11-30T12:00:00`, or seconds since 1970."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import click

from gateway.core.errors import ConfigError


class Moment(click.ParamType[float]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds since 1970. A date and a time without a zone are in UTC."""
        if isinstance(value, float):
            return value
        try:
            seconds = float(value)
        except ValueError:
            seconds = _of_date(value)
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is no time such as 2026-11-30, 2026-11-30T12:00:00 or seconds since 1970", param, ctx)
        return seconds


def _of_date(text: str) -> float:
    """NaN: it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return math.nan
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def check_span(since: float, until: float) -> None:
    """ConfigError: there is no time between the two."""
    if until <= since:
        raise ConfigError(["--until: it is not after --since, so that no request is between them"])


SINCE = click.option("--since", type=Moment(), default=0.0, help="Only requests from this time on, such as 2026-11-30.")
UNTIL = click.option("--until", type=Moment(), default=math.inf, help="Only requests before this time.")
