"""An evaluation for people: a table for the terminal, a figure, and one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
import math
from pathlib import Path
from typing import Any

_COLUMNS = (
    ("apgr", "APGR"),
    ("recovered_area", "recovered"),
    ("token_apgr", "token APGR"),
    ("cpt50", "CPT50"),
    ("cpt80", "CPT80"),
)


def text(result: dict[str, Any]) -> str:
    """The whole evaluation as lines for a terminal."""
    lines = [
        f"{result['router']} on {result['prompts']} prompts: {result['no_think']} "
        f"({_percent(result['accuracy_no_think'])}) -> {result['think']} ({_percent(result['accuracy_think'])})",
        *(f"note: {note}" for note in result["notes"]),
        "",
        f"{'':12s}" + "".join(f"{title:>12s}" for _, title in _COLUMNS),
        *(_ranking_line(name, row) for name, row in _rankings(result)),
        f"APGR 95 % interval {_interval(result['apgr_ci'])}"
        + (f", token APGR {_interval(result['token_apgr_ci'])}" if "token_apgr_ci" in result else ""),
        f"ECE {_number(result['ece'])}   Brier {_number(result['brier'])}   "
        f"AUC of no-think right {_number(result['auc'])}   "
        f"decision p50 {result['decision_ms_p50']:.2f} ms, p99 {result['decision_ms_p99']:.2f} ms (CPU)",
    ]
    if result["dial"]:
        lines += ["", *_frontier_lines(result)]
    return "\n".join(lines + _probe_lines(result))


def _rankings(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("router", result), *result["baselines"].items()]


def _ranking_line(name: str, row: dict[str, Any]) -> str:
    if "missing" in row:
        return f"{name:12s}    {row['missing']}"
    return f"{name:12s}" + "".join(f"{_number(row.get(key)):>12s}" for key, _ in _COLUMNS)


def _frontier_lines(result: dict[str, Any]) -> list[str]:
    lines = [f"{'':24s}{'accuracy':>10s}{'thinking':>10s}{'tokens':>10s}{'over random':>13s}{'over fixed':>12s}"]
    for point in (*result["fixed"], *result["dial"]):
        thinking = "-" if point["thinking"] is None else f"{point['thinking']:.1f}"
        over = "".join(f"{_points(point[k]):>{w}s}" for k, w in (("over_random", 13), ("over_fixed", 12)) if k in point)
        lines.append(
            f"{point['name'][:24]:24s}{_percent(point['accuracy']):>10s}{thinking:>10s}{point['tokens']:>10.1f}{over}"
        )
    share = result["thinking_share_at_minus_1_5_points"]
    if share is not None:
        lines.append(
            f"Within 1.5 points of {result['think']} at {_percent(share)} of its "
            f"{'thinking ' if result['fixed'][-1]['thinking'] else ''}tokens (best price in hindsight)"
        )
    return lines


def _probe_lines(result: dict[str, Any]) -> list[str]:
    found = result.get("probe")
    if not found:
        return []
    lines = [
        "",
        f"with a probe (its tokens charged; {_percent(found['strange'])} of prompts are strange to the router): "
        f"AUC {found['auc_after']:.3f}, ECE {found['ece_after']:.3f}",
    ]
    for ask in ("auto", "always", "never"):
        row = found[ask]
        shares = [row[f"thinking_share_{name}"] for name in ("within_interval", "at_minus_1_point")]
        kept, near = ("no price" if share is None else _percent(share) for share in shares)
        lines.append(
            f"  {ask:8s} token APGR {row['token_apgr']:.3f}   always-think's accuracy within its interval at {kept} of "
            f"its thinking tokens, within 1 point at {near}"
        )
    return lines


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _interval(value: list[float]) -> str:
    return f"[{_number(value[0])}, {_number(value[1])}]"


def write_html(result: dict[str, Any], path: Path) -> None:
    """One self-contained page, and the figure beside it as PNG."""
    image = figure(result)
    path.with_suffix(".png").write_bytes(image)
    encoded = base64.b64encode(image).decode()
    about = "".join(f"<li><b>{name}</b>: {html.escape(row['about'])}</li>" for name, row in result["baselines"].items())
    title = html.escape(f"{result['router']}: {result['no_think']} or {result['think']}?")
    path.write_text(
        f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px/1.5 system-ui;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}}
pre{{overflow-x:auto}}img{{max-width:100%}}</style>
<h1>{title}</h1><img alt="frontier and reliability" src="data:image/png;base64,{encoded}">
<pre>{html.escape(text(result))}</pre><h2>The baselines</h2><ul>{about}</ul></html>
""",
        encoding="utf-8",
    )


def figure(result: dict[str, Any]) -> bytes:
    """PNG: accuracy over mean tokens (where tokens are known), and forecast against real correctness."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(drawing)
    left, right = drawing.subplots(1, 2, width_ratios=[3, 2])
    _draw_frontier(left, result) if result["frontier"] else _draw_areas(left, result)
    _draw_reliability(right, result)
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw_frontier(axes: Any, result: dict[str, Any]) -> None:
    fixed = result["fixed"]
    axes.plot(*_xy([fixed[0], fixed[-1]]), "k:", label="random mixing")
    axes.plot(*_xy(fixed), "s", color="tab:gray", label="fixed efforts")
    axes.plot(
        *_xy(sorted(result["oracle_frontier"], key=lambda p: p["tokens"])), color="tab:green", alpha=0.5, label="oracle"
    )
    axes.plot(*_xy(sorted(result["frontier"], key=lambda p: p["tokens"])), color="tab:blue", label="router")
    axes.plot(*_xy(result["dial"]), "o", color="tab:blue", label="dial 0.1 … 1")
    axes.set(xlabel="mean completion tokens", ylabel="accuracy", title="What tokens buy")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)


def _draw_areas(axes: Any, result: dict[str, Any]) -> None:
    rows = [(name, row["apgr"]) for name, row in _rankings(result) if row["apgr"] is not None]
    axes.barh([name for name, _ in rows], [0 if math.isnan(value) else value for _, value in rows], color="tab:blue")
    axes.axvline(0.5, color="k", linestyle=":")
    axes.set(xlabel="APGR", title="Ranking by gain (token counts unknown)")


def _draw_reliability(axes: Any, result: dict[str, Any]) -> None:
    counts, said, real = zip(*result["reliability"], strict=True)
    axes.plot([0, 1], [0, 1], "k:")
    axes.scatter(said, real, s=[max(8, 200 * n / max(counts)) for n in counts], color="tab:blue", alpha=0.7)
    axes.set(xlabel="forecast P(correct)", ylabel="share correct", title=f"Calibration (ECE {_number(result['ece'])})")
    axes.grid(alpha=0.3)


def _xy(points: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    return [p["tokens"] for p in points], [p["accuracy"] for p in points]
