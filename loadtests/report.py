"""What the load bought: thinking tokens, time to the first token, right answers. As a table and as JSON."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. `applied` is the effort the gateway says it applied; `error` is None for a whole answer.

    Times are in seconds; those of tokens are None for plain requests. `at` is when it ended, since the load began,
    `users` how many there were then, `left` whether its user hung up on purpose.
    """

    kind: str
    effort: str
    applied: str
    seconds: float
    error: str | None = None
    score: float = 0.0
    thinking_tokens: int = 0
    completion_tokens: int = 0
    first_token_s: float | None = None
    first_answer_s: float | None = None
    token_gap_s: float | None = None
    longest_gap_s: float | None = None
    at: float = 0.0
    users: int = 0
    left: bool = False


def quantile(values: Sequence[float], q: float) -> float | None:
    """The smallest value with at least a share `q` of all at or below it; None of nothing."""
    return sorted(values)[max(0, ceil(q * len(values)) - 1)] if values else None


def summarise(samples: Sequence[Sample], seconds: float) -> dict[str, Any]:
    """Totals and rates over `seconds` of load, and one row per kind of work and effort asked for."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    hung_up = sum(sample.left for sample in samples)
    samples = [sample for sample in samples if not sample.left]
    for sample in samples:
        groups.setdefault((sample.kind, sample.effort), []).append(sample)
    whole = [sample for sample in samples if sample.error is None]
    return {
        "seconds": seconds,
        "hung_up": hung_up,
        "requests_per_s": len(whole) / seconds,
        "right_answers_per_s": sum(sample.score for sample in whole) / seconds,
        "thinking_tokens_per_s": sum(sample.thinking_tokens for sample in whole) / seconds,
        "completion_tokens_per_s": sum(sample.completion_tokens for sample in whole) / seconds,
        "errors": dict(Counter(sample.error for sample in samples if sample.error is not None)),
        "total": _row(samples),
        "rows": [{"kind": kind, "effort": effort, **_row(group)} for (kind, effort), group in sorted(groups.items())],
    }


def _row(samples: Sequence[Sample]) -> dict[str, Any]:
    whole = [sample for sample in samples if sample.error is None]
    seconds = [sample.seconds for sample in whole]
    first_tokens = [sample.first_token_s for sample in whole if sample.first_token_s is not None]
    gaps = [sample.token_gap_s for sample in whole if sample.token_gap_s is not None]
    longest = [sample.longest_gap_s for sample in whole if sample.longest_gap_s is not None]
    first_answers = [sample.first_answer_s for sample in whole if sample.first_answer_s is not None]
    return {
        "requests": len(samples),
        "failed": len(samples) - len(whole),
        "accuracy": _mean([sample.score for sample in whole]),
        "thinking_tokens": _mean([sample.thinking_tokens for sample in whole]),
        "completion_tokens": _mean([sample.completion_tokens for sample in whole]),
        "ttft_p50_s": quantile(first_tokens, 0.5),
        "ttft_p95_s": quantile(first_tokens, 0.95),
        "token_gap_p50_s": quantile(gaps, 0.5),
        "token_gap_p95_s": quantile(gaps, 0.95),
        "longest_gap_p95_s": quantile(longest, 0.95),
        "first_answer_p50_s": quantile(first_answers, 0.5),
        "latency_p50_s": quantile(seconds, 0.5),
        "latency_p95_s": quantile(seconds, 0.95),
        "applied": dict(Counter(sample.applied for sample in whole)),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


Columns = tuple[tuple[str, str, str, int], ...]
# heading, key, format, factor
_BOUGHT: Columns = (
    ("requests", "requests", "d", 1),
    ("failed", "failed", "d", 1),
    ("right %", "accuracy", ".1f", 100),
    ("thinking", "thinking_tokens", ".1f", 1),
    ("tokens", "completion_tokens", ".1f", 1),
)
_TIMES: Columns = (
    ("TTFT p50 ms", "ttft_p50_s", ".0f", 1000),
    ("p95", "ttft_p95_s", ".0f", 1000),
    ("token p50 ms", "token_gap_p50_s", ".1f", 1000),
    ("p95", "token_gap_p95_s", ".1f", 1000),
    ("whole p50 ms", "latency_p50_s", ".0f", 1000),
    ("p95", "latency_p95_s", ".0f", 1000),
)


def table(summary: dict[str, Any]) -> str:
    """The summary for people, in 80 columns: what was bought, then the times."""
    rates = (
        f"{summary['requests_per_s']:.1f} requests, {summary['right_answers_per_s']:.1f} right answers, "
        f"{summary['thinking_tokens_per_s']:.0f} thinking tokens of {summary['completion_tokens_per_s']:.0f} tokens "
        f"per second, over {summary['seconds']:.1f} s"
    )
    if summary["hung_up"]:
        rates += f"; {summary['hung_up']} hung up on purpose"
    errors = [f"{count} times: {error}" for error, count in summary["errors"].items()]
    return "\n".join([*_block(summary, _BOUGHT), "", *_block(summary, _TIMES), "", *textwrap.wrap(rates, 80), *errors])


def _block(summary: dict[str, Any], columns: Columns) -> list[str]:
    head = f"{'work':10}{'asked':8}" + "".join(f"{heading:>{_width(heading)}}" for heading, *_ in columns)
    rows = [*summary["rows"], {"kind": "all", "effort": "", **summary["total"]}]
    lines = [f"{row['kind']:10}{row['effort']:8}" + "".join(_cell(row, *column) for column in columns) for row in rows]
    return [head, "-" * len(head), *lines]


def _width(heading: str) -> int:
    return max(7, len(heading) + 2)


def _cell(row: dict[str, Any], heading: str, key: str, form: str, factor: int) -> str:
    value = row[key]
    return f"{'-' if value is None else format(value * factor, form):>{_width(heading)}}"
