"""Outcome tables: which effort of which model was right on which prompt, and what it cost. Reading, checking, pairing.

A table is Parquet, one row per prompt x model x effort, with the columns of `COLUMNS`. Further columns are kept where
they mean something here: `tools` (JSON list: the tools the request offered), `task` (else the data set is the task),
`probe_*` (what an answer without thinking told about itself, see `router_model.probe`), `phrasing` (prompts of one
phrasing never end up on both sides of a cross-validation), `router_split` (`test`: never trained on).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from router_model.probe import PROBE_COLUMNS, PROBE_NAMES, Probe

COLUMNS = (
    "dataset", "prompt_id", "prompt", "family", "model", "mode", "budget", "correct",
    "n_samples", "completion_tokens", "thinking_tokens", "latency_s",
)  # fmt: skip
_NEVER_NULL = ("dataset", "prompt_id", "prompt", "model", "mode", "correct")
_TEXT_EXTRAS = ("tools", "task", "phrasing", "router_split")
_MODE = re.compile(r"nothink|think|budget|effort-\w+")
GENERIC = "*"

Matrix = NDArray[np.float64]


class OutcomeError(ValueError):
    """An outcome table that cannot be used; the message is one line and says what to mend."""


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """One effort of one model, as it was measured. `budget` in thinking tokens; None is unlimited, or no thinking."""

    model: str
    mode: str
    budget: int | None = None

    @property
    def name(self) -> str:
        return f"{self.model}/{self.mode}" + (f"-{self.budget}" if self.mode == "budget" else "")

    @property
    def think(self) -> bool:
        return self.mode != "nothink"


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt: the request as a client would send it, and the names it is grouped by.

    `task` names the kind of work, for the baseline that sees nothing else; `group` the phrasing or the question's stem.
    """

    key: str
    dataset: str
    task: str
    group: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    test: bool = False


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Outcomes as matrices [prompts, arms]; NaN where an arm was not run on a prompt or a count is unknown.

    `correct` in [0,1]; `completion` counts all tokens after the prompt, `thinking` those before the answer. `probes`
    [prompts, len(PROBE_NAMES)] by no-think arm, where any prompt has one.
    """

    prompts: tuple[PromptRow, ...]
    arms: tuple[Arm, ...]
    correct: Matrix
    completion: Matrix
    thinking: Matrix
    probes: Mapping[Arm, Matrix] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prompts)

    def rows(self, chosen: NDArray[Any]) -> Outcomes:
        """The prompts of a boolean mask or an index array."""
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return replace(
            self,
            prompts=tuple(self.prompts[i] for i in index),
            correct=self.correct[index],
            completion=self.completion[index],
            thinking=self.thinking[index],
            probes={arm: rows[index] for arm, rows in self.probes.items()},
        )

    def columns(self, arms: Sequence[Arm]) -> Outcomes:
        """These arms, in this order."""
        index = [self.arms.index(arm) for arm in arms]
        return replace(
            self,
            arms=tuple(arms),
            correct=self.correct[:, index],
            completion=self.completion[:, index],
            thinking=self.thinking[:, index],
            probes={arm: rows for arm, rows in self.probes.items() if arm in arms},
        )

    def arm(self, name: str) -> Arm:
        """The arm called MODEL/MODE (`tiny/nothink`, `tiny/budget-64`). Raises OutcomeError naming those there are."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        model = name.rsplit("/", 1)[0]
        near = sorted(a.name for a in self.arms if a.model == model) or sorted({a.model for a in self.arms})
        raise OutcomeError(
            f"no arm {name!r} in the data; there are: {', '.join(near[:12])}{' …' if len(near) > 12 else ''}"
        )

    def pair(self, no_think: str | None, think: str | None) -> tuple[Arm, Arm]:
        """The two arms to route between. Without names: the only model that was run both ways."""
        if no_think and think:
            return self.arm(no_think), self.arm(think)
        if no_think or think:
            raise OutcomeError("give both --no-think and --think, or neither")
        modes = {
            model: {a.mode for a in self.arms if a.model == model} for model in sorted({a.model for a in self.arms})
        }
        both = [model for model, has in modes.items() if {"nothink", "think"} <= has]
        if len(both) == 1:
            return Arm(both[0], "nothink"), Arm(both[0], "think")
        if not any("nothink" in has for has in modes.values()) or all(has == {"nothink"} for has in modes.values()):
            lacking = "think" if any("nothink" in has for has in modes.values()) else "nothink"
            raise OutcomeError(f"one arm only: the data has no {lacking} rows to compare with")
        which = f"{', '.join(both[:6])} were all run both ways" if both else "no model was run both ways"
        raise OutcomeError(f"{which}; choose a pair with --no-think MODEL/MODE --think MODEL/MODE")


def read(paths: Iterable[Path]) -> Outcomes:
    """Read and check tables that belong together. Raises OutcomeError with one line."""
    rows: list[dict[str, Any]] = []
    for path in paths:
        rows.extend(_read_one(Path(path)))
    if not rows:
        raise OutcomeError("the outcome tables have no rows")
    return from_rows(rows)


def _read_one(path: Path) -> list[dict[str, Any]]:
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise OutcomeError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise OutcomeError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise OutcomeError(f"{path}: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}")
    for name in _NEVER_NULL:
        if table[name].null_count:
            raise OutcomeError(f"{path}: column {name} has {table[name].null_count} nulls; every row needs one")
    kept = [name for name in (*COLUMNS, *_TEXT_EXTRAS, *PROBE_COLUMNS) if name in table.column_names]
    rows: list[dict[str, Any]] = table.select(kept).to_pylist()
    return rows


def from_rows(rows: Sequence[Mapping[str, Any]]) -> Outcomes:
    """Outcomes of rows with the columns of the table. Raises OutcomeError."""
    prompts: dict[str, PromptRow] = {}
    texts: dict[str, str] = {}
    cells: dict[tuple[str, Arm], Mapping[str, Any]] = {}
    for row in rows:
        arm, key = _arm(row), f"{row['dataset']}\n{row['prompt_id']}"
        if not 0 <= row["correct"] <= 1:
            raise OutcomeError(f"correct must lie in [0, 1]; {row['prompt_id']} has {row['correct']} for {arm.name}")
        if key not in prompts:
            prompts[key], texts[key] = _prompt(key, row), row["prompt"]
        elif texts[key] != row["prompt"]:
            raise OutcomeError(f"prompt {row['prompt_id']} of {row['dataset']} stands for two different texts")
        if (key, arm) in cells:
            raise OutcomeError(
                f"two rows for prompt {row['prompt_id']} of {row['dataset']} and {arm.name}; merge them first"
            )
        cells[key, arm] = row
    return _matrices(_named_tasks(prompts, rows), cells)


def _named_tasks(prompts: dict[str, PromptRow], rows: Sequence[Mapping[str, Any]]) -> dict[str, PromptRow]:
    """Where `family` is a property of the prompt (not of the model, of which there are several), it names the task."""
    families: dict[str, set[str]] = {}
    models: set[str] = set()
    for row in rows:
        families.setdefault(f"{row['dataset']}\n{row['prompt_id']}", set()).add(row["family"] or "")
        models.add(row["model"])
    if len(models) < 2 or any(row.get("task") for row in rows) or any(len(names) > 1 for names in families.values()):
        return prompts
    return {k: replace(p, task=f"{p.task}/{min(families[k])}") for k, p in prompts.items()}


def _matrices(prompts: Mapping[str, PromptRow], cells: Mapping[tuple[str, Arm], Mapping[str, Any]]) -> Outcomes:
    arms = sorted(
        {arm for _, arm in cells}, key=lambda a: (a.model, a.think, a.mode != "budget", a.budget or 0, a.mode)
    )
    row_of, column_of = {key: i for i, key in enumerate(prompts)}, {arm: j for j, arm in enumerate(arms)}
    correct, completion, thinking = (np.full((len(prompts), len(arms)), np.nan) for _ in range(3))
    for (key, arm), row in cells.items():
        at = row_of[key], column_of[arm]
        correct[at] = row["correct"]
        completion[at] = np.nan if row["completion_tokens"] is None else row["completion_tokens"]
        known = row["thinking_tokens"]
        thinking[at] = 0.0 if not arm.think else np.nan if known is None else known
    return Outcomes(tuple(prompts.values()), tuple(arms), correct, completion, thinking, _probes(row_of, cells))


def _probes(row_of: Mapping[str, int], cells: Mapping[tuple[str, Arm], Mapping[str, Any]]) -> dict[Arm, Matrix]:
    found: dict[Arm, Matrix] = {}
    for (key, arm), row in cells.items():
        probe = None if arm.think else Probe.of_row(row)
        if probe is not None:
            if arm not in found:
                found[arm] = np.full((len(row_of), len(PROBE_NAMES)), np.nan)
            found[arm][row_of[key]] = probe.inputs()
    return found


def _arm(row: Mapping[str, Any]) -> Arm:
    mode, budget = row["mode"], row["budget"]
    if not _MODE.fullmatch(mode):
        raise OutcomeError(f"unknown mode {mode!r}; modes are nothink, think, budget and effort-<level>")
    if mode == "budget" and (budget is None or budget < 0):
        raise OutcomeError(f"a row of mode budget needs a budget in tokens; {row['prompt_id']} has {budget}")
    return Arm(row["model"], mode, int(budget) if mode == "budget" else None)


def _prompt(key: str, row: Mapping[str, Any]) -> PromptRow:
    messages = messages_of(row["prompt"])
    group = row.get("phrasing") or stem(row["prompt"])
    tools = row.get("tools")
    return PromptRow(
        key=key,
        dataset=row["dataset"],
        task=row.get("task") or row["dataset"],
        group=str(group),
        messages=messages,
        tools=json.loads(tools) if tools else None,
        test=row.get("router_split") == "test",
    )


def messages_of(prompt: str) -> list[dict[str, Any]]:
    """A prompt column's text as messages: a JSON list of messages, or else the words of a user."""
    if prompt.lstrip().startswith("["):
        try:
            parsed = json.loads(prompt)
        except ValueError:
            parsed = None
        if isinstance(parsed, list) and parsed and all(isinstance(m, dict) and "role" in m for m in parsed):
            return parsed
    return [{"role": "user", "content": prompt}]


def stem(text: str) -> str:
    """A name for a question that survives changes of case, spacing and punctuation."""
    return hashlib.md5(re.sub(r"\W+", " ", text.lower()).strip().encode("utf-8", "replace")).hexdigest()[:16]
