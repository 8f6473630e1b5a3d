"""Made-up outcome tables with budget curves: harder prompts need longer thoughts, and are longer themselves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BUDGETS = (8, 16, 32, 64)
_WORDINGS = (
    "Add these: {}",
    "What is the sum of {}?",
    "{} in total?",
    "Please total {}",
    "Sum up {} now",
    "{}: how much?",
)


def rows(
    n: int = 240, seed: int = 0, models: Sequence[str] = ("m",), wordings: Sequence[int] = range(6), name: str = "sums"
) -> list[dict[str, Any]]:
    """One row per prompt x model x effort. Level 1 to 6: so many numbers, and a thought of ten tokens for each."""
    rng = random.Random(seed)
    made = []
    for i in range(n):
        level, wording = rng.randint(1, 6), rng.choice(list(wordings))
        prompt = _WORDINGS[wording].format(" and ".join(str(rng.randint(10, 99)) for _ in range(level)))
        need = 10 * level
        for model in models:
            efforts: list[tuple[str, int | None]] = [
                ("nothink", None),
                *(("budget", b) for b in BUDGETS),
                ("think", None),
            ]
            for mode, budget in efforts:
                thinking = 0 if mode == "nothink" else min(need, budget or need)
                solved = thinking >= need or rng.random() < (0.95 if level < 4 else 0.05)
                made.append(row(name, f"{seed}-{i}", prompt, model, mode, budget, float(solved), thinking) | {
                    "phrasing": f"sum/{wording}"
                } | (probe(solved, rng) if mode == "nothink" else {}))  # fmt: skip
    return made


def probe(solved: bool, rng: random.Random) -> dict[str, Any]:
    """What an answer tells about itself: right ones are surer, mostly."""
    mean = -rng.expovariate(8 if solved else 0.8)
    return {
        "probe_tokens": 3,
        "probe_mean": mean,
        "probe_min": 2 * mean,
        "probe_first_margin": rng.expovariate(1) + 2 * solved,
        "probe_truncated": False,
    }


def row(
    dataset: str,
    prompt_id: str,
    prompt: str,
    model: str,
    mode: str,
    budget: int | None,
    correct: float,
    thinking: int | None,
) -> dict[str, Any]:
    """A row of the outcome table; the answer takes three tokens."""
    return {
        "dataset": dataset,
        "prompt_id": prompt_id,
        "prompt": prompt,
        "family": "fam",
        "model": model,
        "mode": mode,
        "budget": budget,
        "correct": correct,
        "n_samples": 1,
        "completion_tokens": None if thinking is None else thinking + 3,
        "thinking_tokens": thinking,
        "latency_s": 0.1,
    }


def write(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path
