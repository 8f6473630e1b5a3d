"""The demo's table: one row per policy and backend, and what the dial bought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; the JSON output holds these fields."""

    name: str
    backend: str
    prompts: int
    accuracy: float
    accuracy_ci95: float
    thinking_tokens: float
    total_tokens: float
    latency_p50_s: float
    latency_p95_s: float
    decision_ms_p99: float


def table(rows: Sequence[Row], backends: Sequence[str]) -> str:
    """The rows as text, one block per backend."""
    lines = []
    for backend in backends:
        lines.append(
            f"\n{backend:<12}{'accuracy %':>16}{'thinking tok':>14}{'total tok':>11}"
            f"{'p50 ms':>9}{'p95 ms':>9}{'decision p99 ms':>17}"
        )
        lines += [_line(row) for row in rows if row.backend == backend]
        lines.append(_verdict([row for row in rows if row.backend == backend]))
    return "\n".join(lines)


def _line(row: Row) -> str:
    return (
        f"{row.name:<12}{100 * row.accuracy:>10.1f} ±{100 * row.accuracy_ci95:>4.1f}{row.thinking_tokens:>14.1f}"
        f"{row.total_tokens:>11.1f}{1e3 * row.latency_p50_s:>9.0f}{1e3 * row.latency_p95_s:>9.0f}"
        f"{row.decision_ms_p99:>17.2f}"
    )


def _verdict(rows: Sequence[Row]) -> str:
    """What the dial bought against always thinking, and against tossing a coin between never and always."""
    named = {row.name: row for row in rows}
    never, always = named["never"], named["always"]
    lines = []
    for row in rows:
        if not row.name.startswith("dial"):
            continue
        share = row.thinking_tokens / always.thinking_tokens
        mix = never.accuracy + (always.accuracy - never.accuracy) * share
        lines.append(
            f"  {row.name}: {100 * (row.accuracy - always.accuracy):+.1f} points against always, with {share:.0%} of "
            f"its thinking tokens; {100 * (row.accuracy - mix):+.1f} against a random mix at equal thinking tokens"
        )
    return "\n".join(lines)
