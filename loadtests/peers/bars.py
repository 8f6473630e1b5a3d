"""The product's performance targets, and whether this run met them. A target without its rival is not judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loadtests.peers.cases import FLOOR, OURS
from loadtests.peers.measure import Measured, ratio


@dataclass(frozen=True)
class Bar:
    """`kept`: whether the target was met; None if it could not be judged."""

    what: str
    bar: str
    value: str
    kept: bool | None


def bars(
    found: dict[str, Measured], rows: Mapping[str, dict[str, Any]], fidelity: Mapping[str, Mapping[str, Any]]
) -> list[Bar]:
    mine = rows[OURS]
    return [
        _most("CPU per plain request", mine["cpu_ms_request"], 0.5, "ms"),
        _against(found, "cpu_request", "litellm", 1 / 20),
        _against(found, "cpu_request", "portkey", 1 / 5),
        _against(found, "cpu_request", FLOOR, 1.1),
        _most("CPU per 14-chunk stream", mine["cpu_ms_stream"], 0.7, "ms"),
        _against(found, "cpu_stream", "tensorzero", 1.0),
        _against(found, "cpu_stream", "litellm", 1 / 30),
        _most("added p50, 50 at once", mine["added_at_once_p50_ms"], 2, "ms"),
        _most("added p99, 50 at once", mine["added_at_once_p99_ms"], 10, "ms"),
        _most("RSS idle, router loaded", mine["rss_idle_mib"], 150, "MiB"),
        *_faithful(fidelity),
    ]


def _most(what: str, value: float, most: float, unit: str) -> Bar:
    return Bar(what, f"<= {most:g} {unit}", f"{value:.3g} {unit}", value <= most)


def _against(found: dict[str, Measured], kind: str, other: str, most: float) -> Bar:
    what = f"{'CPU per plain request' if kind == 'cpu_request' else 'CPU per stream'}, ours / {other}"
    bar = f"<= 1/{1 / most:.0f}" if most < 1 else f"<= {most:g}"
    if other not in found:
        return Bar(what, bar, f"{other} takes no part", None)
    value = ratio(found, kind, OURS, other)
    return Bar(what, bar, f"1/{1 / value:.1f}" if most < 1 else f"{value:.2f}", value <= most)


def _faithful(fidelity: Mapping[str, Mapping[str, Any]]) -> Iterator[Bar]:
    if fidelity:
        rows = [cells[OURS]["right"] for cells in fidelity.values()]
        yield Bar("rows of fidelity that are right", "all", f"{sum(rows)} of {len(rows)}", all(rows))
