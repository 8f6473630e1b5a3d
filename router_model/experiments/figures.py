"""The figures of an experiment's report, as coordinates of SVG drawings."""

from __future__ import annotations

from collections.abc import Iterable
from math import log
from typing import Any, NamedTuple

# The drawing of one figure, in pixels; its axis lies within the margin.
WIDTH, HEIGHT, MARGIN = 460.0, 190.0, 46.0


class Bar(NamedTuple):
    """A difference with its interval on the common axis of a metric: places from 0 to 1."""

    arm: str
    estimate: float
    low: float
    high: float
    verdict: str


class Forest(NamedTuple):
    """All arms on one metric. `zero` is where no difference lies, `ends` are the values at 0 and 1."""

    metric: str
    zero: float
    ends: tuple[float, float]
    bars: list[Bar]


class Path(NamedTuple):
    """How a difference became known: points `x,y` of the estimate, and of the band around it, in pixels."""

    metric: str
    arm: str
    line: str
    band: str
    zero: float
    ends: tuple[float, float]
    units: tuple[int, int]


def forests(report: dict[str, Any]) -> list[Forest]:
    """One for each metric of which some difference has an estimate and an interval."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in report["differences"]:
        if one["ci"] is not None and one["estimate"] is not None:
            found.setdefault(one["metric"], []).append(one)
    return [_forest(metric, those) for metric, those in found.items()]


def _forest(metric: str, those: list[dict[str, Any]]) -> Forest:
    low, high = _range(bound for one in those for bound in one["ci"])

    def place(value: float) -> float:
        return (value - low) / (high - low)

    bars = [
        Bar(one["arm"], place(one["estimate"]), place(one["ci"][0]), place(one["ci"][1]), one["verdict"])
        for one in those
    ]
    return Forest(metric, place(0.0), (low, high), bars)


def paths(report: dict[str, Any]) -> list[Path]:
    """One for each difference that has a path with two points or more."""
    found = []
    for one in report["differences"]:
        points = [each for each in [*one.get("path", []), one] if each["ci"] is not None]
        if len(points) > 1:
            found.append(_path(one, points))
    return found


def _path(one: dict[str, Any], points: list[dict[str, Any]]) -> Path:
    first, last = points[0]["units"], points[-1]["units"]
    low, high = _range(bound for point in points[len(points) // 3 :] for bound in point["ci"])

    def x(point: dict[str, Any]) -> float:
        share = log(point["units"] / first) / log(last / first) if last > first else 1.0
        return MARGIN + share * (WIDTH - 2 * MARGIN)

    def y(value: float) -> float:
        return MARGIN / 2 + (high - min(max(value, low), high)) / (high - low) * (HEIGHT - MARGIN)

    upper = [(x(point), y(point["ci"][1])) for point in points]
    lower = [(x(point), y(point["ci"][0])) for point in reversed(points)]
    line = _points((x(point), y(point["estimate"])) for point in points)
    return Path(one["metric"], one["arm"], line, _points([*upper, *lower]), y(0.0), (low, high), (first, last))


def _range(values: Iterable[float]) -> tuple[float, float]:
    """Of all values and of 0, with some room."""
    found = [0.0, *values]
    low, high = min(found), max(found)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def _points(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
