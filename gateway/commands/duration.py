"""Durations as options of commands: `90s`, `30m`, `24h`, `7d`."""

from __future__ import annotations

import re
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds out of `90s`, `30m`, `24h` or `7d`."""
        if isinstance(value, float):
            return value
        shape = re.fullmatch(r"(\d{1,9})([smhd]?)", value)
        if shape is None or (not shape[2] and shape[1] != "0"):
            self.fail(f"{value!r} is not a duration: use 90s, 30m, 24h or 7d", param, ctx)
        return float(int(shape[1]) * _UNITS.get(shape[2], 0))
