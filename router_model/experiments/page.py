"""The report of an experiment as one HTML page that needs nothing else; what is on it stands in `page.html.jinja`."""

from __future__ import annotations

from typing import Any

from router_model.experiments import figures
from router_model.rendering import render


def page(report: dict[str, Any]) -> str:
    """`report` is that of `router_model.experiments.report`, with paths."""
    return render(
        "router_model.experiments",
        "page.html.jinja",
        escape=True,
        report=report,
        forests=figures.forests(report),
        paths=figures.paths(report),
        size=(figures.WIDTH, figures.HEIGHT, figures.MARGIN),
        metrics=list(dict.fromkeys(one["metric"] for one in report["differences"])),
    )
