"""Forecasts of a table's own prompts by routers that were not trained on them: the product's trainer, in folds.

What a fold leaves out decides what a figure means. Leaving out prompts (with all wordings of a question) measures
performance on known tasks; leaving out tasks, data sets or whole suites measures performance on new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from router_model.data.outcomes import GENERIC, Arm, OutcomeError, Outcomes, PromptRow
from router_model.model.predict import Predictor
from router_model.training import selection, train
from router_model.training.folds import of_groups
from router_model.training.settings import Choose

Unit = Literal["prompt", "task", "dataset", "suite"]
UNITS: tuple[Unit, ...] = get_args(Unit)
FOLDS = 5
SEED = 7


class Fold(NamedTuple):
    """A router, and the prompts [indices] of the table that it did not learn from."""

    predictor: Predictor
    rows: NDArray[np.intp]


def unit_of(prompt: PromptRow, unit: Unit) -> str:
    """What a prompt is left out with.

    Data sets are often named SUITE/TASK: a task of two suites (`easy/sums`, `hard/sums`) is one task, and a suite is
    all its tasks.
    """
    if unit == "prompt":
        return prompt.group
    if unit == "dataset":
        return prompt.dataset
    suite, within, _ = prompt.dataset.partition("/")
    return suite if unit == "suite" else prompt.task.removeprefix(suite + within)


def trained(
    table: Outcomes,
    efforts: Sequence[Arm],
    unit: Unit,
    settings: Choose,
    folds: int = FOLDS,
    say: Callable[[str], None] = lambda line: None,
) -> list[Fold]:
    """A router for every fold, trained on the others. OutcomeError: there is too little to leave out.

    `settings` are chosen for each by what it learns from. Where there are more models than the pair's, routers learn
    what holds for all of them too: heads of model `*`.
    """
    fold_of = of_groups([unit_of(prompt, unit) for prompt in table.prompts], folds, SEED)
    if fold_of is None:
        raise OutcomeError(f"nothing can be left out: the data have only one {unit}")
    folds = int(fold_of.max()) + 1
    learned = _lessons(table, efforts, unit)
    found = []
    for k in range(folds):
        own = np.flatnonzero(fold_of == k)
        lessons = learned.rows(fold_of != k)
        artifact = train.train(lessons, f"fold-{k + 1}", settings(lessons, say), lambda line: None)
        found.append(Fold(Predictor(artifact), own))
        say(f"Trained without fold {k + 1} of {folds}: {len(own)} prompts left out by {unit}")
    return found


def _lessons(table: Outcomes, efforts: Sequence[Arm], unit: Unit) -> Outcomes:
    """What routers learn from: the efforts to choose from, and what all models together do."""
    wanted = list(efforts)
    if len(table.arms) > len(efforts):
        table = selection.with_generic(table)
        wanted += [arm for arm in table.arms if arm.model == GENERIC]
    table = table.columns(wanted)
    if unit == "prompt":
        return table
    # The learner's own cross-validation leaves out the same as this one.
    return replace(table, prompts=tuple(replace(p, task=unit_of(p, unit)) for p in table.prompts))
