"""Cross-validation folds: prompts of one phrasing, question or task are never on both sides of a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from router_model.data.outcomes import OutcomeError, Outcomes
from router_model.training.settings import Settings

# With fewer tasks than this, leaving some out does not show how forecasts transfer to new ones.
LEAST_TASKS = 4


def by_phrasing(table: Outcomes, settings: Settings) -> NDArray[np.int64]:
    """The fold of every prompt [prompts]; prompts of one phrasing (or question) share it. Raises OutcomeError."""
    folds = of_groups([prompt.group for prompt in table.prompts], settings.folds, settings.seed)
    if folds is None:
        raise OutcomeError("all prompts belong to one phrasing; cross-validation needs at least two")
    return folds


def by_task(table: Outcomes, settings: Settings) -> NDArray[np.int64] | None:
    """The fold of every prompt [prompts] with whole tasks left out; None with fewer than LEAST_TASKS tasks."""
    tasks = [prompt.task for prompt in table.prompts]
    return of_groups(tasks, settings.folds, settings.seed) if len(set(tasks)) >= LEAST_TASKS else None


def of_groups(names: Sequence[str], folds: int, seed: int) -> NDArray[np.int64] | None:
    """The fold of every row [rows], by the group that it names; None with a single group."""
    groups = np.unique(names, return_inverse=True)[1]
    folds = min(folds, int(groups.max()) + 1)
    if folds < 2:
        return None
    fold_of = np.zeros(len(groups), np.int64)
    for k, (_, rows) in enumerate(GroupKFold(folds, shuffle=True, random_state=seed).split(groups, groups=groups)):
        fold_of[rows] = k
    return fold_of
