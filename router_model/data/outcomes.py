"""Outcomes: which effort of which model was right on which prompt, and what it cost."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

GENERIC = "*"
# What named levels are in thinking tokens, as the gateway has them by default; None: unlimited.
LEVELS: Mapping[str, int | None] = {
    "minimal": 128, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": None,
}  # fmt: skip

Matrix = NDArray[np.float64]


class OutcomeError(ValueError):
    """An outcome table is unusable; the message is one line that says what to fix."""


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """One measured effort of one model. `budget` is in thinking tokens; None: unlimited, or no thinking."""

    model: str
    mode: str
    budget: int | None = None

    @property
    def name(self) -> str:
        return f"{self.model}/{self.mode}" + (f"-{self.budget}" if self.mode == "budget" else "")

    @property
    def think(self) -> bool:
        return self.mode not in ("nothink", "effort-none")

    @property
    def as_budget(self) -> Arm | None:
        """A named level as the budget that it stands for in the gateway; None: no level that is known."""
        level = self.mode.removeprefix("effort-")
        if level == self.mode:
            return self
        if level == "none":
            return Arm(self.model, "nothink")
        if level not in LEVELS:
            return None
        budget = LEVELS[level]
        return Arm(self.model, "think") if budget is None else Arm(self.model, "budget", budget)


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt: the request as a client would send it, and the names it is grouped by.

    `task` is the kind of work, the only feature of one baseline; `group` the phrasing or the question's stem.
    """

    key: str
    dataset: str
    task: str
    group: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    test: bool = False

    @property
    def stem(self) -> str:
        """Equal for prompts that ask the same question."""
        return stem_of(self.messages)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Outcomes as matrices [prompts, arms]; NaN where an arm was not run on a prompt or a count is unknown.

    `correct` in [0,1]; `completion` counts all tokens after the prompt, `thinking` those before the answer. `probes`
    [prompts, len(PROBE_NAMES)] by no-think arm, where any prompt has one. `counted`: what counted the tokens, by data
    set and arm, where known.
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
        """The prompts selected by a boolean mask or an index array."""
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
        """Only the arms of these models, and the prompts that they were run on. OutcomeError: a model is not in the
        data.
        """
        for name in models:
            if name not in {arm.model for arm in self.arms}:
                known = ", ".join(sorted({arm.model for arm in self.arms})[:12])
                raise OutcomeError(f"no model {name!r} in the data with enough rows; there are: {known}")
        chosen = self.columns([arm for arm in self.arms if arm.model in models])
        return chosen.rows(np.asarray((~np.isnan(chosen.correct)).any(axis=1)))

    def unlike(self, arms: Sequence[Arm]) -> list[str]:
        """One line per group of these arms whose token counts are combined although different sources counted them."""
        here = {prompt.dataset for prompt in self.prompts}
        found = []
        for arm in arms:
            sources = sorted({self.counted[key] for key in self.counted if key[1] == arm and key[0] in here})
            if len(sources) > 1:
                found.append(f"tokens of {arm.name} were counted by {' and '.join(sources)}, in different data sets")
        for dataset in sorted(here):
            by = {self.counted[dataset, arm]: arm.name for arm in arms if (dataset, arm) in self.counted}
            if len(by) > 1:
                pairs = ", ".join(f"of {name} by {source}" for source, name in sorted(by.items()))
                found.append(f"tokens in {dataset} were counted differently ({pairs}): the cost of thinking is a guess")
        return found

    def of_datasets(self, patterns: Sequence[str]) -> Outcomes:
        """The prompts of data sets whose names match any of these (`medagents/*`). Raises OutcomeError: none does."""
        selected = np.array([any(fnmatchcase(prompt.dataset, p) for p in patterns) for prompt in self.prompts])
        if not selected.any():
            raise OutcomeError(f"no data set matches {', '.join(patterns)}")
        found = self.rows(selected)
        ran = np.flatnonzero((~np.isnan(found.correct)).any(axis=0))
        return found.columns([self.arms[j] for j in ran])

    def merged(self, names: Sequence[str]) -> Outcomes:
        """The table with several arms merged into the first: each prompt has the outcome of the first that ran it."""
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
        """The arm named MODEL/MODE (`tiny/nothink`, `tiny/budget-64`). OutcomeError lists the existing ones."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        model = name.rsplit("/", 1)[0]
        near = sorted(a.name for a in self.arms if a.model == model) or sorted({a.model for a in self.arms})
        raise OutcomeError(
            f"no arm {name!r} in the data; there are: {', '.join(near[:12])}{' …' if len(near) > 12 else ''}"
        )

    def pair(self, no_think: str | None, think: str | None) -> tuple[Arm, Arm]:
        """The two arms to route between; by default those of the only model run with and without thinking."""
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


def row_means(block: Matrix) -> Matrix:
    """The mean of each row [rows] over its known cells; NaN if it has none."""
    count = (~np.isnan(block)).sum(axis=1)
    return np.where(count > 0, np.nansum(block, axis=1) / np.maximum(count, 1), np.nan)


def stem_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """The stem of all text in these messages."""
    return stem("\n".join(str(message.get("content")) for message in messages))


def stem(text: str) -> str:
    """A hash of a question that ignores case, spacing and punctuation."""
    return hashlib.md5(re.sub(r"\W+", " ", text.lower()).strip().encode("utf-8", "replace")).hexdigest()[:16]
