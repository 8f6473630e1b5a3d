"""The figures of an evaluation, each as the bytes of a PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

_COLOURS = {
    "router": "#1f6feb",
    "router, asking first": "#8250df",
    "length": "#bf8700",
    "dataset": "#cf5f17",
    "ceiling": "#1a7f37",
    "oracle": "#8dc891",
    "best_fixed": "#57606a",
    "random": "#24292f",
}
_TITLES = {
    "length": "prompt length only",
    "dataset": "data set's name only",
    "ceiling": "difficulty ceiling",
    "best_fixed": "best fixed effort",
    "random": "random mixing",
}


def all_of(result: dict[str, Any]) -> dict[str, bytes]:
    """The figures by name: `frontier`, `reliability` and, where defined, `regret` and `datasets`."""
    drawn = {
        "frontier": _png(lambda axes: _frontier(axes, result), (7.4, 4.8)),
        "reliability": _png(lambda axes: _reliability(axes, result), (4.6, 4.8)),
    }
    if result["regret"]:
        drawn["regret"] = _png(lambda axes: _regret(axes, result["regret"]), (7.4, 4.2))
    if any(row["apgr"] is not None and not math.isnan(row["apgr"]) for row in result["datasets"]):
        drawn["datasets"] = _png(lambda axes: _datasets(axes, result["datasets"]), (4.6, 4.2))
    return drawn


def title_of(name: str) -> str:
    """The name of a policy in figures and tables."""
    return _TITLES.get(name, name)


def _png(draw: Callable[[Any], None], size: tuple[float, float]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.subplots()
    draw(axes)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()


def _line(axes: Any, x: Any, y: Any, name: str, **style: Any) -> None:
    axes.plot(x, y, color=_COLOURS[name], label=title_of(name), **style)


def _frontier(axes: Any, result: dict[str, Any]) -> None:
    """Accuracy over mean tokens, or over calls of the expensive arm if tokens are unknown."""
    if not result["frontier"]:
        _curves(axes, result, "curve")
        axes.set(xlabel=f"share of prompts sent to {result['think']}", ylabel="accuracy", title="Accuracy by calls")
    else:
        fixed = result["fixed"]
        _line(axes, *_xy([fixed[0], fixed[-1]]), "random", linestyle=":")
        if len(fixed) > 2:
            axes.plot(*_xy(fixed), "s", color=_COLOURS["best_fixed"], markersize=4, label="fixed efforts")
        _line(axes, *_xy(_sorted(result["oracle_frontier"])), "oracle")
        _baselines(axes, result, "token_curve", fixed[0]["tokens"])
        _line(axes, *_xy(_sorted(result["frontier"])), "router", linewidth=2)
        axes.plot(*_xy(result["dial"]), "o", color=_COLOURS["router"], markersize=4)
        if result["probe"]:
            points = _sorted(result["probe"]["auto"]["points"])
            _line(axes, *_xy(points), "router, asking first", linewidth=2)
        axes.set(xlabel="mean completion tokens", ylabel="accuracy", title="Accuracy by tokens (dots: dial 0.1 … 1)")
    axes.legend(loc="lower right", fontsize=8, frameon=False)


def _curves(axes: Any, result: dict[str, Any], key: str) -> None:
    low, high = result["accuracy_no_think"], result["accuracy_think"]
    _line(axes, [0, 1], [low, high], "random", linestyle=":")
    _baselines(axes, result, key, 0.0)
    _line(axes, [x for x, _ in result[key]], [y for _, y in result[key]], "router", linewidth=2)
    # The oracle is often far above the other curves, and may leave the plot.
    reached = [y for name in ("router", "ceiling", "length") for _, y in _curve(result, name, key)]
    axes.set_ylim(min(low, *reached) - 0.02, max(high, *reached) + 0.03)


def _baselines(axes: Any, result: dict[str, Any], key: str, start: float) -> None:
    for name in ("length", "dataset", "ceiling", *(["oracle"] if key == "curve" else [])):
        points = _curve(result, name, key)
        if points:
            _line(axes, [start + x for x, _ in points], [y for _, y in points], name, linewidth=1.2)


def _curve(result: dict[str, Any], name: str, key: str) -> list[list[float]]:
    found: list[list[float]] = (result if name == "router" else result["baselines"][name]).get(key) or []
    return found


def _reliability(axes: Any, result: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], ":", color=_COLOURS["random"])
    _bins(axes, result["reliability"], "router", f"from the text, ECE {result['ece']:.3f}")
    if result["probe"]:
        found = result["probe"]
        _bins(axes, found["reliability_after"], "router, asking first", f"after a probe, ECE {found['ece_after']:.3f}")
    axes.set(xlabel="forecast P(correct)", ylabel="share correct", title="Calibration of forecasts")
    axes.legend(loc="upper left", fontsize=8, frameon=False)


def _bins(axes: Any, bins: list[tuple[int, float, float]], name: str, label: str) -> None:
    counts, forecast, real = zip(*bins, strict=True)
    sizes = [max(8, 200 * n / max(counts)) for n in counts]
    axes.scatter(forecast, real, s=sizes, color=_COLOURS[name], alpha=0.6, label=label)


def _regret(axes: Any, found: dict[str, Any]) -> None:
    for name in ("random", "best_fixed", "length", "dataset", "ceiling", "router"):
        if name in found["curves"]:
            style = ":" if name == "random" else "-"
            width = 2 if name == "router" else 1.2
            _line(axes, found["prices"], found["curves"][name], name, linestyle=style, linewidth=width)
    shown = [max(found["curves"][name]) for name in ("best_fixed", "router") if name in found["curves"]]
    axes.set_ylim(0, 1.25 * max(shown))
    axes.set_xscale("log")
    axes.set(
        xlabel="price of always thinking, in P(correct)",
        ylabel="regret against the oracle",
        title="Regret by price",
    )
    axes.legend(loc="upper left", fontsize=8, frameon=False)


def _datasets(axes: Any, rows: list[dict[str, Any]]) -> None:
    shown = [
        row for row in rows if row["apgr"] is not None and not any(map(math.isnan, (row["apgr"], *row["apgr_ci"])))
    ][:20]
    names = [row["dataset"].rsplit("/", 1)[-1][-22:] for row in shown]
    # With few prompts the bootstrap interval may not contain the figure itself.
    low = [max(0.0, row["apgr"] - row["apgr_ci"][0]) for row in shown]
    high = [max(0.0, row["apgr_ci"][1] - row["apgr"]) for row in shown]
    places = range(len(shown), 0, -1)
    axes.errorbar(
        [row["apgr"] for row in shown], places, xerr=[low, high], fmt="o", color=_COLOURS["router"], markersize=4
    )
    axes.axvline(0.5, linestyle=":", color=_COLOURS["random"])
    axes.set_yticks(list(places), names, fontsize=7)
    # Small gaps in accuracy give extreme areas, which are clipped.
    axes.set_xlim(
        max(-1.0, min(0.3, *(row["apgr_ci"][0] for row in shown))),
        min(2.5, max(0.8, *(row["apgr_ci"][1] for row in shown))),
    )
    axes.set(xlabel="APGR, 95 % (dotted: chance)", title="By data set")


def _sorted(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(points, key=lambda point: float(point["tokens"]))


def _xy(points: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    return [p["tokens"] for p in points], [p["accuracy"] for p in points]
