"""Cross-validates the product's trainer on a table: forecasts of each prompt by a router not trained on it.

Leaving out prompts (with all wordings of a question) measures performance on known tasks; leaving out tasks, data sets
or whole suites measures performance on new ones.
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
    """A router, and the indices of the prompts that it was not trained on."""

    predictor: Predictor
    rows: NDArray[np.intp]


def unit_of(prompt: PromptRow, unit: Unit) -> str:
    """The group that a prompt is left out with.

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
    """One router per fold, trained on the others. OutcomeError: there is only one group.

    `settings` are chosen for each router by its training data. If the table has more models than the pair's, routers
    also get heads of the generic model `*`.
    """
    fold_of = of_groups([unit_of(prompt, unit) for prompt in table.prompts], folds, SEED)
    if fold_of is None:
        raise OutcomeError(f"nothing can be left out: the data has only one {unit}")
    folds = int(fold_of.max()) + 1
    training_data = _training_data(table, efforts, unit)
    found = []
    for k in range(folds):
        own = np.flatnonzero(fold_of == k)
        part = training_data.rows(fold_of != k)
        artifact = train.train(part, f"fold-{k + 1}", settings(part, say), lambda line: None)
        found.append(Fold(Predictor(artifact), own))
        say(f"Trained without fold {k + 1} of {folds}: {len(own)} prompts left out by {unit}")
    return found


def _training_data(table: Outcomes, efforts: Sequence[Arm], unit: Unit) -> Outcomes:
    """The training data: the efforts to choose from, and the generic model."""
    arms = list(efforts)
    if len(table.arms) > len(efforts):
        table = selection.with_generic(table)
        arms += [arm for arm in table.arms if arm.model == GENERIC]
    table = table.columns(arms)
    if unit == "prompt":
        return table
    # So that the trainer's own cross-validation leaves out the same groups.
    return replace(table, prompts=tuple(replace(p, task=unit_of(p, unit)) for p in table.prompts))
