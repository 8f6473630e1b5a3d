"""Reads outcome tables and checks them.

A table is Parquet, one row per prompt x model x effort, with the columns `table_file.NEEDED`. These further columns are
read where present: `tools` (JSON list: the tools that the request offered), `task` (default: the data set), `probe_*`
(features of a short answer without thinking, see `router_model.model.probe`), `phrasing` (prompts with the same one
are never on both sides of a cross-validation split), `router_split` (`test`: never trained on), `tokens_source` (what
counted the tokens: counts of different sources are never averaged within an arm of a data set).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from router_model.data import table_file
from router_model.data.outcomes import Arm, Matrix, OutcomeError, Outcomes, PromptRow, stem
from router_model.model.probe import PROBE_NAMES, Probe

_COUNTS = ("completion_tokens", "thinking_tokens", "probe_tokens")
_MODE = re.compile(r"nothink|think|budget|effort-\w+")
# Tolerance for rounding errors in sums of many float32 log-probabilities.
_NO_MORE_THAN_CERTAIN = 1e-3


def read(paths: Iterable[Path]) -> Outcomes:
    """Read and check tables that belong together. Raises OutcomeError."""
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
            raise OutcomeError(f"prompt {row['prompt_id']} of {row['dataset']} has two different texts")
        if (key, arm) in cells:
            raise OutcomeError(
                f"two rows for prompt {row['prompt_id']} of {row['dataset']} and {arm.name}; merge them first"
            )
        cells[key, arm] = row
    return replace(_matrices(_named_tasks(prompts, rows), cells), counted=_counted(cells))


def _check_numbers(row: Mapping[str, Any], arm: Arm) -> None:
    """OutcomeError: a number is out of range."""
    if not 0 <= row["correct"] <= 1:
        raise OutcomeError(f"correct must lie in [0, 1]; {row['prompt_id']} has {row['correct']} for {arm.name}")
    for name in _COUNTS:
        value = row.get(name)
        # Some writers use NaN for unknown counts.
        if value is not None and not (0 <= value < math.inf or math.isnan(value)):
            raise OutcomeError(f"{name} must be a count; {row['prompt_id']} has {value} for {arm.name}")
    for name in ("probe_mean", "probe_min"):
        value = row.get(name)
        if value is not None and not -math.inf < value <= _NO_MORE_THAN_CERTAIN:
            raise OutcomeError(f"{name} is a log-probability, never above 0; {row['prompt_id']} has {value}")


def _counted(cells: Mapping[tuple[str, Arm], Mapping[str, Any]]) -> dict[tuple[str, Arm], str]:
    """What counted the tokens, by data set and arm. OutcomeError: one of them has counts of several sources."""
    found: dict[tuple[str, Arm], Counter[str]] = {}
    for (_, arm), row in cells.items():
        if not _unknown(row["completion_tokens"]):
            found.setdefault((row["dataset"], arm), Counter())[row.get("tokens_source") or ""] += 1
    for (dataset, arm), sources in found.items():
        if len(sources) > 1:
            names = " and ".join(f"{source or 'unknown'} ({n} rows)" for source, n in sorted(sources.items()))
            raise OutcomeError(
                f"tokens of {arm.name} in {dataset} were counted by {names}, which cannot be averaged; keep the counts "
                "of one tokens_source and make the others null"
            )
    return {key: source for key, (source,) in found.items() if source}


def _unknown(value: float | None) -> bool:
    return value is None or math.isnan(value)


def _named_tasks(prompts: dict[str, PromptRow], rows: Sequence[Mapping[str, Any]]) -> dict[str, PromptRow]:
    """The prompts with `family` as part of the task's name, if it is a property of the prompt and not of the model."""
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
        # More thinking tokens than completion tokens is a miscount, so the split is unknown.
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
    """The messages of a prompt column: a JSON list of messages, or else the text of one user message."""
    if prompt.lstrip().startswith("["):
        try:
            parsed = json.loads(prompt)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, list) and parsed and all(isinstance(m, dict) and "role" in m for m in parsed):
            return parsed
    return [{"role": "user", "content": prompt}]
