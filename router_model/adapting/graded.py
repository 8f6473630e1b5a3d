"""Prompts with a grade of need: written for the prior, and of kinds of work with published results."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from router_model.adapting.assumptions import Assumptions
from router_model.data.outcomes import OutcomeError

WRITTEN = Path(__file__).parent / "written"
# Licences under which prompts may shape an artifact that is passed on under Apache-2.0.
LICENCES = frozenset(
    {
        "Apache-2.0",
        "MIT",
        "CC0 (written for this file)",
        "Apache-2.0 (repository); MIT (data set)",
        "MIT (data set); Apache-2.0 (repository)",
    }
)
_CLEAN = "mode_switch"
# Averages over models, not one model both ways.
_NO_PAIR = "prompted_cot"
# How a kind's gain goes with the difficulty of a prompt, and what that adds in points whatever the kind.
_BY_DIFFICULTY: Mapping[int | None, float] = {None: 1.0, 0: 0.35, 1: 0.8, 2: 1.2, 3: 1.5}
_POINTS_A_GRADE = 3.0


@dataclass(frozen=True, slots=True)
class Graded:
    """`need`: on the scale of `Assumptions.need`; `grade`: of written prompts. `source` names where it is from."""

    prompt: str
    kind: str
    language: str
    need: float
    weight: float
    source: str
    grade: int | None = None

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [{"role": "user", "content": self.prompt}]


def written(assumed: Assumptions) -> list[Graded]:
    """The prompts written for the prior."""
    return [
        Graded(prompt, kind, language, assumed.need[grade], 1.0, "written", grade)
        for path in sorted(WRITTEN.glob("*.jsonl"))
        for grade, kind, language, prompt in map(json.loads, path.read_text("utf-8").splitlines())
    ]


def of_kinds(folder: Path, assumed: Assumptions) -> list[Graded]:
    """The prompts of `prompts.parquet`, by the gain that `kind_level_outcomes.csv` gives their kind. OutcomeError."""
    try:
        rows = pq.read_table(folder / "prompts.parquet").to_pylist()
        gains = gains_by_kind(folder / "kind_level_outcomes.csv", assumed)
    except (OSError, KeyError, ValueError) as error:
        raise OutcomeError(f"{folder}: {error}") from error
    rows = [row for row in rows if row["licence"] in LICENCES and row["kind"] in gains]
    alike = Counter((row["kind"], row["source_repo"]) for row in rows)
    # Prompts of one source resemble each other.
    weights = np.array([alike[row["kind"], row["source_repo"]] ** -0.5 for row in rows])
    weights *= assumed.kinds_weight / weights.sum()
    return [
        Graded(
            row["prompt"],
            row["kind"],
            row["language"],
            _need(gains[row["kind"]], row["difficulty"]),
            float(weight),
            f"{row['source_repo']}|{row['source_commit'][:12]}|{row['licence']}",
        )
        for row, weight in zip(rows, weights, strict=True)
    ]


def _need(gain: float, difficulty: int | None) -> float:
    more = 0 if difficulty is None else _POINTS_A_GRADE * (difficulty - 1)
    return math.asinh((gain * _BY_DIFFICULTY[difficulty] + more) / 10)


def gains_by_kind(path: Path, assumed: Assumptions) -> dict[str, float]:
    """The mean gain of each kind, in points.

    Results are averaged within their source first, since those of one source are alike; sources then count by how
    clean their pairs are, beside the assumed prior.
    """
    by_source: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in _published(path):
        weight = 1.0 if row["pair_type"] == _CLEAN else assumed.unclean
        weight *= 1.0 if row["second_hand"] == "no" else assumed.second_hand
        by_source[row["kind"], row["source"].split()[0]].append((weight, 100 * float(row["gain"])))
    start = assumed.published_prior_rows, assumed.published_prior_rows * assumed.published_prior
    sums: dict[str, tuple[float, float]] = defaultdict(lambda: start)
    for (kind, _), results in sorted(by_source.items()):
        weight, mean = _mean(results)
        # The mean of n results of one source is worth as many as sqrt(n) independent ones.
        weight *= len(results) ** 0.5
        sums[kind] = sums[kind][0] + weight, sums[kind][1] + weight * mean
    kinds = {row["kind"] for row in _rows(path)} | {"rewriting", "extraction"}
    return {kind: sums[kind][1] / sums[kind][0] for kind in sorted(kinds)}


def _published(path: Path) -> Iterator[Mapping[str, str]]:
    """Without rows that repeat a parent's, and without averages over models."""
    for row in _rows(path):
        if row["overlap"] != "yes" and row["pair_type"] != _NO_PAIR and row["gain"]:
            yield row


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _mean(results: Sequence[tuple[float, float]]) -> tuple[float, float]:
    weights, values = np.array(results).T
    return float(weights.mean()), float((weights * values).sum() / weights.sum())
