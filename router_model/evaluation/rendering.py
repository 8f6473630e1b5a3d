"""An evaluation in the words and figures of a template beside this file."""

from __future__ import annotations

import math
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, escape: bool, **given: Any) -> str:
    """`escape`: the template is HTML."""
    loader = PackageLoader("router_model.evaluation", "")
    made = Environment(
        loader=loader, autoescape=escape, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Any] = {"percent": _percent, "points": _points, "number": _number, "interval": _interval}
    made.filters |= filters
    made.tests["known"] = _is_known
    return made.get_template(template).render(given)


def _is_known(value: Any) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)


def _percent(value: float | None, absent: str = "-") -> str:
    return absent if value is None else f"{100 * value:.1f} %"


def _points(value: Any) -> str:
    return f"{100 * value:+.1f}" if isinstance(value, int | float) else ""


def _number(value: Any, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if _is_known(value) else "-"


def _interval(value: list[float]) -> str:
    """Both ends of it."""
    return f"[{_number(value[0])}, {_number(value[1])}]"
