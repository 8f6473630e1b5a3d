"""Trains a router artifact on outcome tables: features, boosted trees, calibration and dial, by cross-validation.

Folds keep the prompts of a phrasing (or, without that column, of a question stem) together, so that calibration and
dial are valid for new wordings. Seeds are fixed: equal tables give equal artifacts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from router_model.data import outcome_reader
from router_model.data.outcomes import GENERIC, Outcomes
from router_model.decision.holdout import HeldOut, HeldOutForecasts
from router_model.model import artifact_writer
from router_model.model.artifact import Artifact, Head, fingerprint
from router_model.model.predict import Predictor
from router_model.training import calibration, card, folds, stages, summary, transfer_check
from router_model.training.boosting import sigmoid
from router_model.training.fitting import Fit, Fitter, TrainingSet, fit_trees, rows_of
from router_model.training.out_of_fold import OutOfFold, cross_validate, forecasts
from router_model.training.selection import trainable, with_generic
from router_model.training.settings import Choose, Settings


def run(
    data: Sequence[Path],
    out: Path,
    *,
    models: Sequence[str] = (),
    generic: bool = False,
    settings: Settings | Choose | None = None,
    say: Callable[[str], None] = print,
) -> Artifact:
    """Train on tables and write the artifact to `out`. Raises OutcomeError.

    `models` keeps only the heads of these models; `generic` adds heads of model `*`, the mean over all models of a
    table. `settings` may be a function that chooses them by the table.
    """
    started = time.perf_counter()
    table = trainable(outcome_reader.read(data), say)
    if generic:
        table = with_generic(table)
    if models:
        table = table.of_models(models)
    settings = settings(table, say) if callable(settings) else settings or Settings()
    artifact = train(table, out.name, settings, say)
    artifact_writer.save(artifact, out, card.text(artifact, [Path(p).name for p in data]))
    say(card.summary(artifact))
    say(f"Wrote {out.absolute()} ({artifact.version}) in {time.perf_counter() - started:.0f} s")
    return artifact


def train(
    table: Outcomes,
    name: str,
    settings: Settings,
    say: Callable[[str], None],
    fitter: Fitter = fit_trees,
    data: TrainingSet | None = None,
) -> Artifact:
    """Train on a table; everything but the final trees comes from cross-validation.

    There are two cross-validations: grouped by phrasing, for new wordings, and grouped by task, for new tasks. The
    first gives the forecasts; both together give the effect of novelty. `data`: the table's training set, unless it is
    to be made of the prompts' texts.
    """
    data = TrainingSet.of(table, settings) if data is None else data
    say(f"Training on {len(table)} prompts, {len(table.arms)} efforts")
    tasks = folds.by_task(table, settings)
    transfer = settings.expects == "tasks" and tasks is not None
    splits = [] if transfer else [folds.by_phrasing(table, settings)]
    splits += [tasks] if tasks is not None else []
    views = [cross_validate(data, split, settings, say, fitter) for split in splits]
    final = fitter(data, np.arange(len(table)), settings)
    if settings.pooled:
        final, views = stages.pooled(final, views, data)
    draft = _draft(final, views, data, settings)
    draft = replace(draft, over_budget=stages.over_budget(draft, data))
    draft = replace(draft, ordered=stages.ordered(draft, views[0], data))
    novelty = views[0].novelty
    before = forecasts(draft, views[0].text_stage, novelty)
    if transfer and _transfers(before, table):
        draft = replace(draft, ood_calibration=calibration.NONE_OOD)
    probed, after = stages.probed_stages(draft, final, views, before, data, settings)
    ood = np.array([Predictor(draft).ood_probability(x) for x in novelty.tolist()])
    whole = replace(
        draft,
        probed=probed,
        held_out=summary.held_out(before, after, ood, table, settings.seed),
        about=summary.about(table, before, int(splits[0].max()) + 1, settings),
    )
    return replace(whole, version=artifact_writer.version_of(name, artifact_writer.numbers(whole), whole.heads))


def _draft(final: Fit, views: Sequence[OutOfFold], data: TrainingSet, settings: Settings) -> Artifact:
    """The artifact without probes and held-out prompts."""
    heads = tuple(Head(arm.model, arm.think, arm.budget) for arm in data.table.arms)
    return Artifact(
        version="",
        heads=heads,
        text_stage=stages.text_stage(final, views, data, settings),
        probed={},
        vocabulary=final.vocabulary,
        projection=final.projection,
        need=final.need,
        features=settings.features,
        ood_calibration=stages.ood_calibration(final, views, settings),
        held_out=HeldOut.none(len(heads)),
        seen=np.unique(np.array([fingerprint(prompt.stem) for prompt in data.table.prompts], np.uint64)),
        about={},
        ordered=frozenset(),
    )


def _transfers(forecast: HeldOutForecasts, table: Outcomes) -> bool:
    """Whether forecasts for left-out tasks rank their prompts better than chance."""
    own = [j for j, arm in enumerate(table.arms) if arm.model != GENERIC]
    tasks = np.unique([prompt.task for prompt in table.prompts], return_inverse=True)[1]
    return transfer_check.holds(np.asarray(forecast.p_correct, np.float64)[:, own], table.correct[:, own], tasks)


def loss(table: Outcomes, settings: Settings) -> float:
    """The mean squared error of raw forecasts on a held-out fold of prompts, or of tasks if new tasks are expected."""
    tasks = folds.by_task(table, settings) if settings.expects == "tasks" else None
    fold_of = folds.by_phrasing(table, settings) if tasks is None else tasks
    data = TrainingSet.of(table, settings)
    own = np.flatnonzero(fold_of == 0)
    fit = fit_trees(data, np.flatnonzero(fold_of != 0), settings)
    x, _ = rows_of([data.features[i] for i in own.tolist()], fit.vocabulary, fit.projection)
    p = sigmoid(fit.text_stage.score_all(x)[:, : len(table.arms)])
    return float(np.nanmean(np.square(p - table.correct[own])))
