"""Renders an evaluation as one self-contained HTML page, from `page.html.jinja`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from router_model.data import output_files
from router_model.evaluation import plots, report
from router_model.rendering import render


def write(result: dict[str, Any], path: Path) -> None:
    """Write the page, and its first figure as PNG beside it."""
    images = plots.all_of(result)
    output_files.put(path.with_suffix(".png"), images["frontier"])
    output_files.put(path, page(result, images))


def page(result: dict[str, Any], images: dict[str, bytes]) -> str:
    """`images`: PNG files by name."""
    columns = report.columns(result)
    return render(
        "router_model.evaluation",
        "page.html.jinja",
        escape=True,
        result=result,
        images={name: base64.b64encode(image).decode() for name, image in images.items()},
        rankings=report.rankings(result),
        keys=[key for key, _ in columns],
        titles=[title for _, title in columns],
        title_of=plots.title_of,
    )
