"""Compares the merged model with the split pair on the same prompts, paired, by effort."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from router_model.evaluation.intervals import paired
from router_model.reasoner.modes import mode_of, order

Rows = Sequence[Mapping[str, Any]]
MERGED, INSTRUCT, THINKING = "tiny", "tiny-instruct", "tiny-thinking"


def table(releases: Sequence[Rows]) -> str:
    """Markdown: for each release (one seed each), kind of work and effort, both accuracies and their paired
    difference."""
    lines = [
        "| seed | work | effort | n | merged % | split % | split minus merged, points |",
        "|---|---|---|---|---|---|---|",
    ]
    for seed, rows in enumerate(releases):
        merged, split = _answers(rows, (MERGED,)), _answers(rows, (INSTRUCT, THINKING))
        for kind in ("reasoning", "instruct"):
            for mode in sorted({mode for mode, _ in merged}, key=order):
                pairs = [
                    (row["correct"], split[mode, prompt]["correct"])
                    for (own, prompt), row in merged.items()
                    if own == mode and row["kind"] == kind and (mode, prompt) in split
                ]
                if pairs:
                    lines.append(_line(seed, kind, mode, pairs))
    return "\n".join(lines)


def _answers(rows: Rows, models: Sequence[str]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(mode_of(row), row["prompt_id"]): row for row in rows if row["model"] in models}


def _line(seed: int, kind: str, mode: str, pairs: Sequence[tuple[float, float]]) -> str:
    n = len(pairs)
    merged, split = (100 * math.fsum(pair[side] for pair in pairs) / n for side in (0, 1))
    low, high = paired(pairs)
    difference = f"{split - merged:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    return f"| {seed} | {kind} | {mode} | {n} | {merged:.1f} | {split:.1f} | {difference} |"
