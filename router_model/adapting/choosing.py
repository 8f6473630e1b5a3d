"""Chooses the prompts to collect outcomes for next: those that an adapted router would learn most from.

Each next prompt is the one whose outcome is least known given all chosen before (greedy D-optimal design): the leverage
of its features times the router's uncertainty. So similar prompts are not chosen twice, and collected ones count as
chosen. Every second prompt is drawn at random instead, since the router must fit the traffic as it is, not only its
extremes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data import outcome_reader, outcomes, output_files
from router_model.data.outcomes import OutcomeError
from router_model.model import predict
from router_model.model.predict import Predictor

Matrix = NDArray[np.float64]
# The prior precision of each direction, in prompts.
_RIDGE = 1.0
_DIRECTIONS = 16


@dataclass(frozen=True, slots=True)
class Task:
    """A line of a tasks file: its request, and the unchanged line."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None
    line: str

    @property
    def stem(self) -> str:
        """Equal for tasks with the same question, whatever its spacing."""
        return outcomes.stem_of(self.messages)


def run(
    router: str | Path,
    tasks: Path,
    n: int,
    out: Path,
    *,
    collected: Sequence[Path] = (),
    say: Callable[[str], None] = print,
) -> int:
    """Write the `n` chosen lines of `tasks` to `out`; returns how many. Raises OutcomeError or ArtifactError."""
    predictor = predict.load(router)
    pool = read(tasks)
    before = [prompt.messages for prompt in outcome_reader.read(collected).prompts] if collected else []
    known = {outcomes.stem_of(messages) for messages in before}
    fresh, seen = [], set(known)
    for task in pool:
        if task.stem not in seen:
            seen.add(task.stem)
            fresh.append(task)
    if not fresh:
        raise OutcomeError(f"{tasks}: all {len(pool)} tasks are in the collected tables already")
    n = min(n, len(fresh))
    best = choose(predictor, [(t.messages, t.tools) for t in fresh], (n + 1) // 2, [(m, None) for m in before])
    drawn = np.random.default_rng(len(before)).permutation([i for i in range(len(fresh)) if i not in set(best)])
    picked = [i for pair in zip_longest(best, drawn[: n - len(best)].tolist()) for i in pair if i is not None]
    output_files.put(out, "".join(fresh[i].line + "\n" for i in picked))
    repeated = len(pool) - len(fresh)
    say(
        f"{len(picked)} of {len(fresh)} tasks in {out.absolute()}"
        + (f"; {repeated} more were repeated or collected already" if repeated else "")
    )
    return len(picked)


def read(path: Path) -> list[Task]:
    """The tasks of a file with one JSON object per line. OutcomeError names the invalid line."""
    tasks = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8-sig").split("\n"), 1):
        if line.strip():
            tasks.append(_task(line, f"{path}, line {number}"))
    if not tasks:
        raise OutcomeError(f"{path} has no tasks")
    return tasks


def _task(line: str, where: str) -> Task:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise OutcomeError(f"{where}: not JSON ({error})") from None
    messages = row.get("messages") if isinstance(row, Mapping) else None
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise OutcomeError(f"{where}: a task has a list of messages")
    tools = row.get("tools")
    return Task(messages, tools if isinstance(tools, list) else None, line)


def choose(
    predictor: Predictor,
    pool: Sequence[tuple[Sequence[Mapping[str, Any]], Any]],
    n: int,
    taken: Sequence[tuple[Sequence[Mapping[str, Any]], Any]] = (),
) -> list[int]:
    """The indices in `pool` of the `n` prompts to collect next, best first; `taken` are those collected already."""
    features, doubt = _encoded(predictor, [*pool, *taken])
    new, old = features[: len(pool)], features[len(pool) :]
    spread = np.linalg.inv(_RIDGE * np.eye(features.shape[1]) + (old * doubt[len(pool) :, None]).T @ old)
    weight, picked = doubt[: len(pool)].copy(), []
    leverage = np.einsum("ij,jk,ik->i", new, spread, new)
    for _ in range(n):
        best = int(np.argmax(weight * leverage))
        picked.append(best)
        # Update the inverse for one more prompt, and the leverage of all others: "Adjustment of an Inverse Matrix
        # Corresponding to a Change in One Element of a Given Matrix" (Sherman, Morrison, 1950, Annals of Mathematical
        # Statistics 21(1):124-127, doi:10.1214/aoms/1177729893), in its rank-one form.
        along = spread @ new[best]
        scale = weight[best] / (1 + weight[best] * float(new[best] @ along))
        leverage = leverage - scale * np.square(new @ along)
        spread = spread - scale * np.outer(along, along)
        weight[best] = 0.0
        leverage = np.maximum(leverage, 1e-12)
        leverage[picked] = 0.0
    return picked


def _encoded(predictor: Predictor, prompts: Sequence[tuple[Sequence[Mapping[str, Any]], Any]]) -> tuple[Matrix, Matrix]:
    """The router's features of prompts, reduced to a few uncorrelated ones [prompts, k], and its doubt [prompts]."""
    readings = [predictor.read(messages, tools) for messages, tools in prompts]
    x = np.stack([reading.row for reading in readings]).astype(np.float64)
    p = np.array([predictor.scores(reading).p_correct for reading in readings])
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-3)
    axes, lengths, _ = np.linalg.svd(x, full_matrices=False)
    k = min(_DIRECTIONS, len(lengths))
    logits = np.log(np.clip(p, 0.02, 0.98) / (1 - np.clip(p, 0.02, 0.98)))
    scaled = (logits - logits.mean(axis=0)) / (logits.std(axis=0) + 1e-3)
    features = np.hstack([np.ones((len(x), 1)), axes[:, :k] * np.sqrt(len(x)), scaled / np.sqrt(scaled.shape[1])])
    return features, 0.1 + (p * (1 - p)).mean(axis=1)
