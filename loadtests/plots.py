"""Plots of a run, with matplotlib, which is needed for plots only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Points = Sequence[tuple[float, float]]
INCHES = (8.0, 2.6)


def lines(file: Path, title: str, across: str, series: Mapping[str, Points]) -> None:
    """One panel per series, one below the other, over a common axis."""
    figure, panels = _panels(len(series))
    for panel, (name, points) in zip(panels, series.items(), strict=True):
        panel.plot(
            [x for x, _ in points], [y for _, y in points], linewidth=1.2, marker="." if len(points) < 30 else ""
        )
        panel.set_ylabel(name)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    panels[-1].set_xlabel(across)
    _save(figure, file, title)


def spread(file: Path, title: str, values: Mapping[str, Sequence[float]]) -> None:
    """The cumulative distribution of each name's values, in milliseconds."""
    figure, panels = _panels(1)
    for name, found in values.items():
        ordered = sorted(found)
        shares = [100 * (index + 1) / len(ordered) for index in range(len(ordered))]
        panels[0].step([1000 * value for value in ordered], shares, where="post", label=f"{name} ({len(ordered)})")
    panels[0].set_xscale("log")
    panels[0].set_xlabel("milliseconds")
    panels[0].set_ylabel("% of requests within")
    panels[0].grid(alpha=0.3)
    if values:
        panels[0].legend(fontsize="small")
    _save(figure, file, title)


def _panels(count: int) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure  # no windows, no global state

    figure = Figure(figsize=(INCHES[0], max(1, count) * INCHES[1] + 0.6), layout="constrained")
    return figure, list(figure.subplots(max(1, count), 1, sharex=True, squeeze=False)[:, 0])


def _save(figure: Any, file: Path, title: str) -> None:
    figure.suptitle(title)
    figure.savefig(file, dpi=110)
