"""The run as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loadtests.peers.bars import Bar

_COLUMNS = (
    # heading, key, format
    ("CPU ms plain", "cpu_ms_request", ".3f"),
    ("stream", "cpu_ms_stream", ".3f"),
    ("p50 ms", "p50_ms", ".2f"),
    ("+p50", "added_alone_p50_ms", ".2f"),
    ("+p99", "added_alone_p99_ms", ".2f"),
    ("50: +p50", "added_at_once_p50_ms", ".2f"),
    ("+p99", "added_at_once_p99_ms", ".2f"),
    ("streams", "streams", "d"),
    ("CPU us/chunk", "cpu_us_chunk", ".0f"),
    ("late p99 ms", "chunk_late_p99_ms", ".1f"),
    ("RSS idle", "rss_idle_mib", ".0f"),
    ("after", "rss_after_mib", ".0f"),
)
MARKS = {True: "", False: " !"}


def costs(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """CPU is the median over rounds; `+` is added to the direct way: one at a time, then 50 at once."""
    width = max(len(row["name"]) for row in rows) + 1
    yield " " * width + "".join(f"{heading:>{_wide(heading)}}" for heading, *_ in _COLUMNS)
    for row in rows:
        cells = (f"{_said(row[key], form):>{_wide(heading)}}" for heading, key, form in _COLUMNS)
        yield f"{row['name']:<{width}}" + "".join(cells)


def fidelity(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """A line per row, a column per proxy; `!` marks what is wrong."""
    names = list(next(iter(found.values())))
    first = max(len(row) for row in found) + 2
    cells = {row: {name: cell["seen"] + MARKS[cell["right"]] for name, cell in by.items()} for row, by in found.items()}
    wide = {name: max(len(name), *(len(cells[row][name]) for row in found)) + 2 for name in names}
    yield " " * first + "".join(f"{name:<{wide[name]}}" for name in names).rstrip()
    for row in found:
        yield f"{row:<{first}}" + "".join(f"{cells[row][name]:<{wide[name]}}" for name in names).rstrip()


def judged(bars: Sequence[Bar]) -> Iterator[str]:
    for bar in bars:
        verdict = {True: "pass", False: "MISS", None: "not judged"}[bar.kept]
        yield f"{bar.what:<42}{bar.bar:>12}  {bar.value:>24}  {verdict}"


def _wide(heading: str) -> int:
    return max(8, len(heading) + 2)


def _said(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
