"""Replay as one HTML page that needs nothing else; what is on it stands in `page.html.jinja`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from router_model.rendering import render

# The drawing of the frontier, in pixels; its axes lie within the margin.
WIDTH, HEIGHT, MARGIN = 720.0, 380.0, 56.0


class Point(NamedTuple):
    """A policy by tokens and outcome: places in pixels, with the ends of both intervals."""

    name: str
    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float


class Frontier(NamedTuple):
    """Policies from left to right, and what stands at the ends of the axes."""

    points: list[Point]
    line: str
    tokens: tuple[float, float]
    outcome: tuple[float, float]


def frontier(replayed: dict[str, Any]) -> Frontier | None:
    """Policies of which both outcome and tokens were estimated; None: of fewer than two."""
    found: dict[str, dict[str, Any]] = {}
    for one in replayed["policies"]:
        if one["ci"] is not None:
            found.setdefault(one["name"], {})[one["metric"]] = one
    both = [(name, one["total_tokens"], one["outcome"]) for name, one in found.items() if len(one.keys() & _AXES) == 2]
    if len(both) < 2:
        return None
    tokens = _range(bound for _, one, _ in both for bound in one["ci"])
    outcome = _range(bound for _, _, one in both for bound in one["ci"])

    def x(value: float) -> float:
        return MARGIN + (value - tokens[0]) / (tokens[1] - tokens[0]) * (WIDTH - 2 * MARGIN)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (value - outcome[0]) / (outcome[1] - outcome[0]) * (HEIGHT - 2 * MARGIN)

    points = [
        Point(
            name,
            x(cost["estimate"]),
            y(right["estimate"]),
            left=x(cost["ci"][0]),
            right=x(cost["ci"][1]),
            top=y(right["ci"][1]),
            bottom=y(right["ci"][0]),
        )
        for name, cost, right in both
    ]
    points.sort(key=lambda point: point.x)
    return Frontier(points, " ".join(f"{point.x:.1f},{point.y:.1f}" for point in points), tokens, outcome)


def page(replayed: dict[str, Any]) -> str:
    """`replayed` is what `router_model.offpolicy.replay.replay` returns."""
    return render(
        "router_model.offpolicy",
        "page.html.jinja",
        escape=True,
        replayed=replayed,
        frontier=frontier(replayed),
        size=(WIDTH, HEIGHT, MARGIN),
    )


_AXES = {"outcome", "total_tokens"}


def _range(values: Iterable[float]) -> tuple[float, float]:
    """Of all values, with some room."""
    found = list(values)
    room = 0.06 * (max(found) - min(found)) or 1.0
    return min(found) - room, max(found) + room
