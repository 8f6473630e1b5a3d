"""Probes with known outcomes, of any number of models: what the generic probe is fitted to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.model.generic_probe import features
from router_model.model.probe import Probe

F64 = NDArray[np.float64]
Names = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class ProbeSamples:
    """One row per probe. `inputs` [probes, features]; `strong` is whether the same model was right with thinking, and
    `strong_tokens` what that took (NaN: it does not think). `relatives` are models of one making, left out together.
    """

    model: Names
    relatives: Names
    kind: Names
    inputs: F64
    right: F64
    tokens: F64
    strong: F64
    strong_tokens: F64

    def __len__(self) -> int:
        return len(self.right)

    def where(self, chosen: NDArray[np.bool_]) -> ProbeSamples:
        return ProbeSamples(*(getattr(self, name)[chosen] for name in self.__slots__))

    @property
    def weights(self) -> F64:
        """Every family of models counts alike."""
        share = {name: 1 / (self.relatives == name).sum() for name in np.unique(self.relatives)}
        found = np.array([share[name] for name in self.relatives])
        return np.asarray(found / found.mean(), np.float64)


def read(tables: Sequence[Path]) -> ProbeSamples:
    """From outcome tables and those of `probe_collect`. Answers with thinking are joined by model and prompt, those of
    a split pair too. ValueError: they have no probes.
    """
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = [row for table in tables for row in pq.read_table(table).to_pylist()]
    strong = {(_making(row["model"], True), row["prompt_id"]): row for row in rows if row.get("mode") == "think"}
    found = []
    for row in rows:
        probe = Probe.of_row(row)
        if probe is None or row["correct"] is None:
            continue
        other = strong.get((_making(row["model"], False), row.get("prompt_id")))
        found.append((row, probe, (other["correct"], other["completion_tokens"]) if other else (np.nan, np.nan)))
    if not found:
        raise ValueError("no table has probes: collect them from deployments that give log-probabilities")
    return ProbeSamples(
        np.array([row["model"] for row, _, _ in found]),
        np.array([row["model"].split("-")[0] for row, _, _ in found]),
        np.array([row.get("task") or row["kind"] for row, _, _ in found]),
        np.array([features(probe) for _, probe, _ in found]),
        np.array([row["correct"] for row, _, _ in found], np.float64),
        np.array([probe.tokens for _, probe, _ in found], np.float64),
        *np.array([other for _, _, other in found], np.float64).T,
    )


def spoken(files: Sequence[Path]) -> ProbeSamples:
    """From JSON lines of first answers that state a confidence (`t`, `conf`, `correct`), one file per model.

    The confidence takes the place of the probability of the least likely token and of the mean one.
    """
    rows: list[tuple[str, float, float]] = []
    for file in files:
        lines = map(json.loads, file.read_text("utf-8").splitlines())
        firsts = (line for line in lines if line["t"] == 1 and line["conf"] is not None)
        rows += [(file.stem, line["conf"], line["correct"]) for line in firsts]
    probes = [Probe(1, log(max(conf, 0.01)), log(max(conf, 0.01))) for _, conf, _ in rows]
    nothing = np.full(len(rows), np.nan)
    names = np.array([name for name, _, _ in rows])
    return ProbeSamples(
        names,
        names,
        np.full(len(rows), "gsm8k"),
        np.array([features(probe) for probe in probes]),
        np.array([correct for _, _, correct in rows], np.float64),
        np.ones(len(rows)),
        nothing,
        nothing,
    )


def _making(model: str, thinks: bool) -> str:
    """A split pair has one name for both."""
    return model.removesuffix("-thinking" if thinks else "-instruct") + ("*" if model.count("-") else "")
