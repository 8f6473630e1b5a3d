"""The demo's table: one row per policy and backend, and the gain of each dial position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; the JSON output holds these fields. `accuracy_ci` is Wilson's interval at 95 %."""

    name: str
    backend: str
    prompts: int
    accuracy: float
    accuracy_ci: tuple[float, float]
    thinking_tokens: float
    total_tokens: float
    latency_p50_s: float
    latency_p95_s: float
    decision_ms_p99: float


def table(rows: Sequence[Row], backends: Sequence[str]) -> str:
    """The rows as text, the verdict first and then a block for each backend."""
    blocks = [[row for row in rows if row.backend == backend] for backend in backends]
    lines = [_verdict(block) for block in blocks]
    for block in blocks:
        lines.append(
            f"\n{block[0].backend:<11}{'right %':>8}{'[95 %]':>15}{'thinking':>10}{'tokens':>8}"
            f"{'p50 ms':>8}{'p95 ms':>8}{'decided ms':>12}"
        )
        lines += map(_line, block)
        lines.append(f"\n  {'':<9}{'points against always':>23}{'its thinking tokens':>22}{'points over a mix':>20}")
        lines += [
            f"  {row.name:<9}{100 * (row.accuracy - always.accuracy):>+23.1f}{100 * share:>20.0f} %{100 * over:>+20.1f}"
            for row, always, share, over in _gains(block)
        ]
    return "\n".join(lines)


def _line(row: Row) -> str:
    low, high = row.accuracy_ci
    return (
        f"{row.name:<11}{100 * row.accuracy:>8.1f}{f'[{100 * low:.1f}, {100 * high:.1f}]':>15}"
        f"{row.thinking_tokens:>10.1f}{row.total_tokens:>8.1f}{1e3 * row.latency_p50_s:>8.0f}"
        f"{1e3 * row.latency_p95_s:>8.0f}{row.decision_ms_p99:>12.2f}"
    )


def _gains(rows: Sequence[Row]) -> list[tuple[Row, Row, float, float]]:
    """For each dial position: its row, the row that always thinks, its share of that row's thinking tokens, and its
    accuracy minus that of a random mix of never and always with as many thinking tokens.
    """
    named = {row.name: row for row in rows}
    never, always = named["never"], named["always"]
    found = []
    for row in rows:
        if row.name.startswith("dial"):
            share = row.thinking_tokens / always.thinking_tokens
            mix = never.accuracy + (always.accuracy - never.accuracy) * share
            found.append((row, always, share, row.accuracy - mix))
    return found


def _verdict(rows: Sequence[Row]) -> str:
    row, always, share, _ = _gains(rows)[-1]
    return (
        f"{row.backend}: {row.name} gets {100 * row.accuracy:.1f} % right for {100 * share:.0f} % of the thinking; "
        f"always {100 * always.accuracy:.1f} %"
    )
