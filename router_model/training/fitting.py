"""Fits text features and trees on the prompts of a training set."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data.outcomes import Arm, Outcomes
from router_model.evaluation import adversarial
from router_model.features.request import Features, featurize
from router_model.model.need import Need
from router_model.model.request_encoding import inputs, views_read
from router_model.model.trees import F32, Trees
from router_model.training import text_projection
from router_model.training.boosting import grow
from router_model.training.folds import LEAST_TASKS
from router_model.training.settings import Settings

Matrix = NDArray[np.float64]
# Features of prompts, a vocabulary, its directions and a need to rows [prompts, inputs] and novelty [prompts].
Encode = Callable[[Sequence[Any], Mapping[bytes, int], F32, Need | None], tuple[F32, Matrix]]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """An outcome table with features and targets.

    `features` of every prompt; `augmented`: features of each copy with meaningless words around the question; `tokens`
    [prompts, 2 x heads]: log(1 + tokens), thinking before answer, NaN where unknown. `encode` makes rows of features:
    of texts, unless prompts are known by what a router read of them.
    """

    table: Outcomes
    features: Sequence[Any]
    augmented: Sequence[Sequence[Any]]
    tokens: Matrix
    encode: Encode

    @classmethod
    def of(cls, table: Outcomes, settings: Settings) -> TrainingSet:
        """The training set of a table, with `settings.attacked` augmented copies of each prompt."""
        rng, read = random.Random(settings.seed), partial(featurize, version=settings.features)
        augmented = [
            [read(adversarial.attacked(prompt.messages, rng), prompt.tools) for prompt in table.prompts]
            for _ in range(settings.attacked)
        ]
        features = [read(prompt.messages, prompt.tools) for prompt in table.prompts]
        return cls(table, features, augmented, token_targets(table), rows_of)

    def views(self, rows: NDArray[np.intp]) -> list[list[Any]]:
        """Features of these prompts, and of each of their augmented copies."""
        return [[view[i] for i in rows.tolist()] for view in (self.features, *self.augmented)]


@dataclass(frozen=True, slots=True)
class Fit:
    """Trees for the request alone and, by probed head, for the request with a probe.

    `lines`, `probed_lines`: the prior mean of the calibration lines, where one is known.
    """

    vocabulary: Mapping[bytes, int]
    projection: F32
    text_stage: Trees
    probed: Mapping[int, Trees]
    lines: F32 | None = None
    probed_lines: Mapping[int, F32] = field(default_factory=dict)
    need: Need | None = None


# Fits on these rows of the training set.
Fitter = Callable[[TrainingSet, NDArray[np.intp], Settings], Fit]


def fit_trees(data: TrainingSet, rows: NDArray[np.intp], settings: Settings) -> Fit:
    """Fit trees on these prompts and their augmented copies, which share targets; the vocabulary is the prompts'."""
    table, views = data.table, data.views(rows)
    free, fitted = settings.directions, settings.fitted
    found = text_projection.fit(views[0], table.correct[rows], free, fitted, settings.least_uses, settings.seed)
    x, _ = text_projection.rows(found, views, table.correct[rows], _cv_groups(table, rows, settings), settings.seed)
    rows = np.tile(rows, len(views))
    probed = {}
    for arm in probed_arms(table, settings):
        has, more = with_probes(x, table.probes[arm][rows])
        targets = table.correct[rows[has]], data.tokens[rows[has]]
        probed[table.arms.index(arm)] = grow(more, *targets, settings.boosting)
    trees = grow(x, table.correct[rows], data.tokens[rows], settings.boosting)
    return Fit(found.vocabulary, found.projection, trees, probed)


def probed_arms(table: Outcomes, settings: Settings) -> list[Arm]:
    """The arms with enough probes for training."""
    return [arm for arm, rows in table.probes.items() if (~np.isnan(rows[:, 0])).sum() >= settings.least_prompts]


def rows_of(
    features: Sequence[Features], vocabulary: Mapping[bytes, int], projection: F32, need: Need | None = None
) -> tuple[F32, Matrix]:
    """The feature rows [prompts, inputs], and the novelty of each prompt [prompts]."""
    views = views_read(vocabulary)
    rows, novelty, _ = zip(*(inputs(f, vocabulary, projection, views, need) for f in features), strict=True)
    return np.stack(rows), np.array(novelty)


def with_probes(x: F32, probes: Matrix) -> tuple[NDArray[np.intp], F32]:
    """The indices of prompts that have a probe, and their rows with it."""
    has = np.flatnonzero(~np.isnan(probes[:, 0]))
    return has, np.hstack([x[has], probes[has].astype(np.float32)])


def token_targets(table: Outcomes) -> Matrix:
    """Token targets [prompts, 2 x heads]. Where the split is unknown, all of a thinking row's completion counts as
    thinking and its answer is unknown."""
    thinking, completion = table.thinking.copy(), table.completion
    thinks = np.array([arm.think for arm in table.arms])
    unsplit = np.isnan(thinking) & ~np.isnan(completion)
    answer = np.where(unsplit, np.nan, completion - thinking)
    thinking = np.where(unsplit, completion, thinking)
    thinking[:, ~thinks] = 0.0
    return np.asarray(np.log1p(np.maximum(np.hstack([thinking, answer]), 0.0)))


def _cv_groups(table: Outcomes, rows: NDArray[np.intp], settings: Settings) -> list[str]:
    """The cross-validation groups for fitted text features of these prompts: tasks or phrasings."""
    prompts = [table.prompts[i] for i in rows.tolist()]
    tasks = [prompt.task for prompt in prompts]
    if settings.expects == "tasks" and len(set(tasks)) >= LEAST_TASKS:
        return tasks
    return [prompt.group for prompt in prompts]
