"""Pages, cards and reports out of templates, with figures as they are told everywhere."""

from __future__ import annotations

import math
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(package: str, template: str, escape: bool = False, **given: Any) -> str:
    """`template` is a file of the package; `escape`: it is HTML."""
    made = Environment(
        loader=PackageLoader(package, ""),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
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
