"""An evaluation as one HTML page that needs nothing else; what is on it stands in `page.html.jinja`."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from router_model.data import output_files
from router_model.evaluation import plots, report


def write(result: dict[str, Any], path: Path) -> None:
    """The page, and its first figure beside it as PNG."""
    images = plots.all_of(result)
    output_files.put(path.with_suffix(".png"), images["frontier"])
    output_files.put(path, render(result, images))


def render(result: dict[str, Any], images: dict[str, bytes]) -> str:
    """`images`: PNG files by name."""
    loader = PackageLoader("router_model.evaluation", "")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters: dict[str, Any] = {"percent": _percent, "points": _points, "number": _number}
    made.filters |= filters | {"interval": report.interval, "title_of": plots.title_of}
    made.tests["known"] = _is_known
    columns = report.columns(result)
    return made.get_template("page.html.jinja").render(
        result=result,
        images={name: base64.b64encode(image).decode() for name, image in images.items()},
        rankings=report.rankings(result),
        keys=[key for key, _ in columns],
        titles=[title for _, title in columns],
    )


def _is_known(value: Any) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)


def _percent(value: float | None, absent: str = "-") -> str:
    return absent if value is None else f"{100 * value:.1f} %"


def _points(value: Any) -> str:
    return f"{100 * value:+.1f}" if isinstance(value, int | float) else ""


def _number(value: Any, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if _is_known(value) else "-"
