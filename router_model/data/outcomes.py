"""Outcome tables: which effort of which model was right on which prompt, and what it cost. Reading, checking, pairing.

A table is Parquet, one row per prompt x model x effort, with the columns of `COLUMNS`. Further columns are kept where
they mean something here: `tools` (JSON list: the tools the request offered), `task` (else the data set is the task),
`probe_*` (what an answer without thinking told about itself, see `router_model.model.probe`), `phrasing` (prompts of
one phrasing never end up on both sides of a cross-validation), `router_split` (`test`: never trained on),
`tokens_source` (who counted the tokens: counts of different sources are never averaged within an arm of a data set).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data import table_file
from router_model.data.table_file import OutcomeError
from router_model.model.probe import PROBE_NAMES, Probe

__all__ = ["COLUMNS", "GENERIC", "Arm", "OutcomeError", "Outcomes", "PromptRow", "from_rows", "read"]

COLUMNS = tuple(table_file.NEEDED)
_COUNTS = ("completion_tokens", "thinking_tokens", "probe_tokens")
_MODE = re.compile(r"nothink|think|budget|effort-\w+")
GENERIC = "*"
# Sums of many float32 log-probabilities end a little above what they are.
_NO_MORE_THAN_CERTAIN = 1e-3

Matrix = NDArray[np.float64]


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
    [prompts, len(PROBE_NAMES)] by no-think arm, where any prompt has one. `counted`: who counted the tokens, by data
    set and arm, where that is known.
    """

    prompts: tuple[PromptRow, ...]
    arms: tuple[Arm, ...]
    correct: Matrix
    completion: Matrix
    thinking: Matrix
    probes: Mapping[Arm, Matrix] = field(default_factory=dict)
    counted: Mapping[tuple[str, Arm], str] = field(default_factory=dict)

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

    def of_models(self, models: Sequence[str]) -> Outcomes:
        """Only these models' arms, and the prompts that they were run on. OutcomeError: one has none."""
        for name in models:
            if name not in {arm.model for arm in self.arms}:
                known = ", ".join(sorted({arm.model for arm in self.arms})[:12])
                raise OutcomeError(f"no model {name!r} in the data with enough rows; there are: {known}")
        chosen = self.columns([arm for arm in self.arms if arm.model in models])
        return chosen.rows(np.asarray((~np.isnan(chosen.correct)).any(axis=1)))

    def unlike(self, arms: Sequence[Arm]) -> list[str]:
        """A line for everything among these arms whose token counts are put together though they were counted apart."""
        here = {prompt.dataset for prompt in self.prompts}
        found = []
        for arm in arms:
            sources = sorted({self.counted[key] for key in self.counted if key[1] == arm and key[0] in here})
            if len(sources) > 1:
                found.append(f"tokens of {arm.name} were counted by {' and '.join(sources)}, in different data sets")
        for dataset in sorted(here):
            by = {self.counted[dataset, arm]: arm.name for arm in arms if (dataset, arm) in self.counted}
            if len(by) > 1:
                told = ", ".join(f"of {name} by {source}" for source, name in sorted(by.items()))
                found.append(f"tokens in {dataset} were counted apart ({told}): what thinking costs there is a guess")
        return found

    def of_datasets(self, patterns: Sequence[str]) -> Outcomes:
        """The prompts of data sets whose names match any of these (`medagents/*`). Raises OutcomeError: none does."""
        wanted = np.array([any(fnmatchcase(prompt.dataset, p) for p in patterns) for prompt in self.prompts])
        if not wanted.any():
            raise OutcomeError(f"no data set matches {', '.join(patterns)}")
        found = self.rows(wanted)
        ran = np.flatnonzero((~np.isnan(found.correct)).any(axis=0))
        return found.columns([self.arms[j] for j in ran])

    def merged(self, names: Sequence[str]) -> Outcomes:
        """The table with several arms as one, called as the first: what the first of them says that ran a prompt."""
        first, *others = (self.arm(name) for name in names)
        to, counted = self.arms.index(first), dict(self.counted)
        correct, completion, thinking = self.correct.copy(), self.completion.copy(), self.thinking.copy()
        for other in others:
            at = self.arms.index(other)
            lacking = np.isnan(correct[:, to])
            for block in (correct, completion, thinking):
                block[lacking, to] = block[lacking, at]
            for (dataset, arm), source in self.counted.items():
                if arm == other:
                    counted.setdefault((dataset, first), source)
        found = replace(self, correct=correct, completion=completion, thinking=thinking, counted=counted)
        return found.columns([arm for arm in self.arms if arm not in others])

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
        rows.extend(table_file.rows(Path(path)))
    if not rows:
        raise OutcomeError("the outcome tables have no rows")
    return from_rows(rows)


def from_rows(rows: Sequence[Mapping[str, Any]]) -> Outcomes:
    """Outcomes of rows with the columns of the table. Raises OutcomeError."""
    prompts: dict[str, PromptRow] = {}
    texts: dict[str, str] = {}
    cells: dict[tuple[str, Arm], Mapping[str, Any]] = {}
    for row in rows:
        arm, key = _arm(row), f"{row['dataset']}\n{row['prompt_id']}"
        _check_numbers(row, arm)
        if key not in prompts:
            prompts[key], texts[key] = _prompt(key, row), row["prompt"]
        elif texts[key] != row["prompt"]:
            raise OutcomeError(f"prompt {row['prompt_id']} of {row['dataset']} stands for two different texts")
        if (key, arm) in cells:
            raise OutcomeError(
                f"two rows for prompt {row['prompt_id']} of {row['dataset']} and {arm.name}; merge them first"
            )
        cells[key, arm] = row
    return replace(_matrices(_named_tasks(prompts, rows), cells), counted=_counted(cells))


def _check_numbers(row: Mapping[str, Any], arm: Arm) -> None:
    """OutcomeError: a number that cannot be."""
    if not 0 <= row["correct"] <= 1:
        raise OutcomeError(f"correct must lie in [0, 1]; {row['prompt_id']} has {row['correct']} for {arm.name}")
    for name in _COUNTS:
        value = row.get(name)
        # Not a number is how some writers say that it is unknown.
        if value is not None and not (0 <= value < math.inf or math.isnan(value)):
            raise OutcomeError(f"{name} must be a count; {row['prompt_id']} has {value} for {arm.name}")
    for name in ("probe_mean", "probe_min"):
        value = row.get(name)
        if value is not None and not -math.inf < value <= _NO_MORE_THAN_CERTAIN:
            raise OutcomeError(f"{name} is a log-probability, never above 0; {row['prompt_id']} has {value}")


def _counted(cells: Mapping[tuple[str, Arm], Mapping[str, Any]]) -> dict[tuple[str, Arm], str]:
    """Who counted the tokens, by data set and arm. OutcomeError: several did for one of them."""
    found: dict[tuple[str, Arm], Counter[str]] = {}
    for (_, arm), row in cells.items():
        if not _unknown(row["completion_tokens"]):
            found.setdefault((row["dataset"], arm), Counter())[row.get("tokens_source") or ""] += 1
    for (dataset, arm), sources in found.items():
        if len(sources) > 1:
            told = " and ".join(f"{source or 'unknown'} ({n} rows)" for source, n in sorted(sources.items()))
            raise OutcomeError(
                f"tokens of {arm.name} in {dataset} were counted by {told}, which cannot be averaged; keep the counts "
                "of one tokens_source and make the others null"
            )
    return {key: source for key, (source,) in found.items() if source}


def _unknown(value: float | None) -> bool:
    return value is None or math.isnan(value)


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
        # A thought longer than all that was said is a miscount, by whatever means: the split is unknown.
        unknown = known is None or known > completion[at]
        thinking[at] = 0.0 if not arm.think else np.nan if unknown else known
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
    if mode == "budget" and (budget is None or not 0 <= budget < math.inf):
        raise OutcomeError(f"a row of mode budget needs a budget in tokens; {row['prompt_id']} has {budget}")
    return Arm(row["model"], mode, int(budget) if mode == "budget" else None)


def _prompt(key: str, row: Mapping[str, Any]) -> PromptRow:
    messages = messages_of(row["prompt"])
    group = row.get("phrasing") or stem(row["prompt"])
    return PromptRow(
        key=key,
        dataset=row["dataset"],
        task=row.get("task") or row["dataset"],
        group=str(group),
        messages=messages,
        tools=_tools(row),
        test=row.get("router_split") == "test",
    )


def _tools(row: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    if not row.get("tools"):
        return None
    try:
        tools = json.loads(row["tools"])
    except (ValueError, RecursionError):
        tools = None
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise OutcomeError(f"tools must be a JSON list of tools; {row['prompt_id']} has {row['tools'][:60]!r}")
    return tools


def messages_of(prompt: str) -> list[dict[str, Any]]:
    """A prompt column's text as messages: a JSON list of messages, or else the words of a user."""
    if prompt.lstrip().startswith("["):
        try:
            parsed = json.loads(prompt)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, list) and parsed and all(isinstance(m, dict) and "role" in m for m in parsed):
            return parsed
    return [{"role": "user", "content": prompt}]


def stem(text: str) -> str:
    """A name for a question that survives changes of case, spacing and punctuation."""
    return hashlib.md5(re.sub(r"\W+", " ", text.lower()).strip().encode("utf-8", "replace")).hexdigest()[:16]
