"""Trains a router artifact on outcome tables: features, boosted trees, calibration and dial, by cross-validation.

Folds keep the prompts of a phrasing (or, without that column, of a question stem) together, so calibration and dial
describe prompts worded in ways the router has not met. Seeds are fixed: the same tables give the same artifact.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from router_model.data import outcomes
from router_model.data.outcomes import Arm, OutcomeError, Outcomes, PromptRow
from router_model.decision.holdout import HeldOut, HeldOutForecasts
from router_model.evaluation import adversarial, metrics
from router_model.features.request import Features, featurize
from router_model.model import artifact_writer
from router_model.model.artifact import Artifact, Head, Probed, Stage, fingerprint
from router_model.model.predict import Predictor
from router_model.model.probe import ProbeValueModel, probe_value_model
from router_model.model.request_encoding import inputs
from router_model.model.trees import F32, Trees
from router_model.training import calibration, card, text_projection, transfer_check
from router_model.training.boosting import Boosting, grow, sigmoid

Matrix = NDArray[np.float64]
# Fewer prompts than this teach a head nothing that would hold on others.
LEAST_PROMPTS = 50
# Fewer kinds of work than this do not show how forecasts fare on another one.
LEAST_TASKS = 4
RARELY = 0.05
# Fewer prompts than this do not show what probes reveal at each forecast before them, only how much in all.
LEAST_REVEALED = 300
# How many prompts an artifact keeps to set prices by: fewer of many heads, for it is to stay small.
TRIED_PROMPTS = 2000
TRIED_CELLS = 40_000
LEAST_TRIED = 500


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train.

    `directions` and `fitted`: how many numbers the terms become, by variance and by outcomes; `least_uses`: terms of
    fewer prompts are dropped; `attacked`: how many copies of every prompt are added with words around the question that
    mean nothing (`adversarial.attacked`); `least_prompts`: an effort, or the probes of one, with fewer are left out;
    `prior_precision`: the precision with which calibration is held to be needless beforehand. `expects`: whether
    requests will be new phrasings of known tasks or new tasks. `pooled`: before any probe, what a head says is weighed
    against what the other efforts of its model say, and all models'. `ood_share`: this share of familiar requests, the
    most novel, is held to be strange; None: what is strange is learned from tasks left out.
    """

    boosting: Boosting = field(default_factory=Boosting)
    directions: int = 12
    fitted: int = 0
    least_uses: int = 4
    attacked: int = 1
    folds: int = 4
    seed: int = 7
    least_prompts: int = LEAST_PROMPTS
    prior_precision: float = 0.1
    expects: Literal["phrasings", "tasks"] = "phrasings"
    pooled: bool = False
    ood_share: float | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """Trees for the request alone, and by head for the request and a probe of that head.

    `lines`, `probed_lines`: what calibration is held to be beforehand, where anything is known of it.
    """

    vocabulary: Mapping[bytes, int]
    projection: F32
    text_stage: Trees
    probed: Mapping[int, Trees]
    lines: F32 | None = None
    probed_lines: Mapping[int, F32] = field(default_factory=dict)


# Features of prompts and of augmented copies, the table, token targets, the rows to learn from.
Fitter = Callable[[Sequence[Features], Sequence[Sequence[Features]], Outcomes, Matrix, NDArray[np.intp], Settings], Fit]


Choose = Callable[[Outcomes, Callable[[str], None]], Settings]


@dataclass(frozen=True, slots=True)
class _Unseen:
    """Raw outputs [prompts, 3 x heads] by trees that saw no prompt of the same group, and how novel each prompt was.

    NaN where a prompt has no probe of that head.
    """

    text_stage: Matrix
    probed: Mapping[int, Matrix]
    novelty: Matrix


def run(
    data: Sequence[Path],
    out: Path,
    *,
    models: Sequence[str] = (),
    generic: bool = False,
    settings: Settings | Choose | None = None,
    say: Callable[[str], None] = print,
) -> Artifact:
    """Train on tables and write the artifact to `out`; `settings` may be chosen by what is in them. OutcomeError.

    `models` keeps only these models' heads; `generic` adds heads of model `*`, the mean over all models of a table.
    """
    started = time.perf_counter()
    table = outcomes.read(data)
    kept = trainable(table, say)
    if generic:
        kept = with_generic(kept)
    if models:
        kept = kept.of_models(models)
    settings = settings(kept, say) if callable(settings) else settings or Settings()
    artifact = train(kept, out.name, settings, say)
    text = card.text(artifact, [Path(p).name for p in data])
    artifact_writer.save(artifact, out, text)
    say(card.summary(artifact))
    say(f"Wrote {out.absolute()} ({artifact.version}) in {time.perf_counter() - started:.0f} s")
    return artifact


def trainable(table: Outcomes, say: Callable[[str], None], least: int = LEAST_PROMPTS) -> Outcomes:
    """The rows and arms to train on; says what is left out and why. Raises OutcomeError if nothing useful remains.

    `least`: prompts that an effort needs.
    """
    test = np.array([prompt.test for prompt in table.prompts])
    if test.any():
        say(f"Left out {int(test.sum())} prompts marked router_split=test")
        kept_apart = {stem_of(prompt) for prompt in table.prompts if prompt.test}
        again = np.array([not prompt.test and stem_of(prompt) in kept_apart for prompt in table.prompts])
        if again.any():
            say(f"Left out {int(again.sum())} prompts that ask what one marked router_split=test asks")
        table = table.rows(~test & ~again)
    few, named = [], []
    for arm, count in zip(table.arms, (~np.isnan(table.correct)).sum(axis=0), strict=True):
        if arm.mode.startswith("effort-"):
            named.append(arm)
        elif count < least:
            few.append(arm)
    if named:
        say(f"Left out {len(named)} arms with a named effort: they have no budget in tokens")
    if few:
        names = ", ".join(arm.name for arm in few[:8])
        say(f"Left out {len(few)} arms with fewer than {least} prompts: {names}")
    arms = [arm for arm in table.arms if arm not in few and arm not in named]
    if len({arm.think for arm in arms}) < 2 and len(arms) < 2:
        raise OutcomeError(
            f"one arm only: there is nothing to choose between (need {least} prompts for each of two efforts)"
        )
    table = table.columns(arms)
    for line in table.unlike(arms):
        say(f"Careful: {line}")
    return table.rows(np.asarray((~np.isnan(table.correct)).any(axis=1)))


def with_generic(table: Outcomes) -> Outcomes:
    """The table with two more arms: model `*` without and with thinking, the mean over the models that ran a prompt."""
    blocks = {"correct": [table.correct], "completion": [table.completion], "thinking": [table.thinking]}
    arms = list(table.arms)
    for mode in ("nothink", "think"):
        columns = [j for j, arm in enumerate(table.arms) if arm.mode == mode]
        if not columns:
            continue
        arms.append(Arm(outcomes.GENERIC, mode))
        for name, block in blocks.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                block.append(np.nanmean(getattr(table, name)[:, columns], axis=1, keepdims=True))
    correct, completion, thinking = (np.hstack(block) for block in blocks.values())
    return Outcomes(table.prompts, tuple(arms), correct, completion, thinking, table.probes)


def train(
    table: Outcomes, name: str, settings: Settings, say: Callable[[str], None], fitter: Fitter | None = None
) -> Artifact:
    """The artifact of a table; everything in it but the final trees comes from cross-validation.

    Twice: with phrasings kept together, as for wordings new to the router, and with tasks kept together, as for work
    new to it. The first says what to expect; both together say what novelty takes away.
    """
    heads = tuple(Head(arm.model, arm.think, arm.budget) for arm in table.arms)
    features = [featurize(prompt.messages, prompt.tools) for prompt in table.prompts]
    augmented = _augmented(table, settings)
    tokens = _token_targets(table)
    fitter = fitter or fit_trees
    say(f"Training on {len(table)} prompts, {len(heads)} efforts")
    tasks = _tasks(table, settings)
    shown = settings.expects == "tasks" and tasks is not None
    splits = [] if shown else [_phrasings(table, settings)]
    splits += [tasks] if tasks is not None else []
    views = [_cross_validate(features, augmented, table, tokens, split, settings, say, fitter) for split in splits]
    final = fitter(features, augmented, table, tokens, np.arange(len(table)), settings)
    if settings.pooled:
        final, views = _pooled(final, views, table)
    expected = views[0]
    # Where nothing can be asked first, what is strange is not routed at all: it should be rare among what is known.
    share = settings.ood_share
    if share is None and not final.probed and len(views) > 1:
        share = RARELY
    if share is None:
        strangeness = calibration.ood_calibration(*(view.novelty for view in views))
    else:
        strangeness = calibration.ood_threshold(views[0].novelty, share)
    if settings.expects == "tasks":
        # Every request is new: what is left to know is whether text tells anything of new work.
        strangeness = calibration.ALL_OOD
    draft = Artifact(
        version="",
        heads=heads,
        text_stage=_stage(
            final.text_stage,
            [(view.text_stage, view.novelty) for view in views],
            table,
            tokens,
            settings.prior_precision,
            final.lines,
        ),
        probed={},
        vocabulary=final.vocabulary,
        projection=final.projection,
        ood_calibration=strangeness,
        held_out=HeldOut.none(len(heads)),
        seen=np.unique(np.array([fingerprint(stem_of(p)) for p in table.prompts], np.uint64)),
        about={},
    )
    probed, after = {}, {}
    before = _forecasts(draft, expected.text_stage, expected.novelty)
    if shown and _trusted(before, table):
        draft = replace(draft, ood_calibration=calibration.NONE_OOD)
    for head, trees in final.probed.items():
        seen = [(view.probed[head], view.novelty) for view in views]
        stage = _stage(trees, seen, table, tokens, settings.prior_precision, final.probed_lines.get(head))
        told = _forecasts(replace(draft, text_stage=stage), expected.probed[head], expected.novelty)
        after[head] = HeldOutForecasts(told.p_correct, np.where(np.isnan(told.p_correct), np.nan, before.tokens))
        probed[head] = Probed(stage, _probe_value(before, after[head], head))
    strange = np.array([Predictor(draft).ood_probability(novelty) for novelty in expected.novelty.tolist()])
    whole = replace(
        draft,
        probed=probed,
        held_out=_held_out(before, after, strange, table, settings.seed),
        about=_about(table, before, splits[0], settings),
    )
    return replace(whole, version=artifact_writer.version_of(name, artifact_writer.numbers(whole), heads))


def _trusted(told: HeldOutForecasts, table: Outcomes) -> bool:
    """Whether forecasts of tasks that were left out rank their prompts better than chance."""
    own = [j for j, arm in enumerate(table.arms) if arm.model != outcomes.GENERIC]
    kinds = np.unique([prompt.task for prompt in table.prompts], return_inverse=True)[1]
    return transfer_check.holds(np.asarray(told.p_correct, np.float64)[:, own], table.correct[:, own], kinds)


def loss(table: Outcomes, settings: Settings) -> float:
    """The mean squared error of raw forecasts for one fold of left-out prompts: of tasks, where those are expected."""
    features = [featurize(prompt.messages, prompt.tools) for prompt in table.prompts]
    tasks = _tasks(table, settings) if settings.expects == "tasks" else None
    folds = _phrasings(table, settings) if tasks is None else tasks
    rows, own = np.flatnonzero(folds != 0), np.flatnonzero(folds == 0)
    fit = fit_trees(features, _augmented(table, settings), table, _token_targets(table), rows, settings)
    x, _ = rows_of([features[i] for i in own.tolist()], fit.vocabulary, fit.projection)
    said = sigmoid(fit.text_stage.score_all(x)[:, : len(table.arms)])
    return float(np.nanmean(np.square(said - table.correct[own])))


def _pooled(final: Fit, views: Sequence[_Unseen], table: Outcomes) -> tuple[Fit, list[_Unseen]]:
    """The same with every head's logit a sum of those that bear on it: trees, and what trees like them said."""
    n = len(table.arms)
    heads = [Head(arm.model, arm.think, arm.budget) for arm in table.arms]
    weights = np.eye(3 * n)
    weights[:n, :n] = calibration.shares(views[0].text_stage[:, :n], table.correct, heads)
    trees = final.text_stage.mixed(weights, np.zeros(3 * n))
    return replace(final, text_stage=trees), [replace(view, text_stage=view.text_stage @ weights) for view in views]


def _forecasts(draft: Artifact, outputs: Matrix, novelty: Matrix) -> HeldOutForecasts:
    """The forecasts in raw outputs, with the calibration of a draft; NaN where there are none."""
    predictor = Predictor(draft)
    p, tokens = (np.full((len(outputs), len(draft.heads)), np.nan) for _ in range(2))
    for i in np.flatnonzero(~np.isnan(outputs[:, 0])).tolist():
        scores = predictor.finish(outputs[i].tolist(), float(novelty[i]))
        p[i], tokens[i] = scores.p_correct, np.add(scores.thinking_tokens, scores.answer_tokens)
    return HeldOutForecasts(p, tokens)


def _probe_value(before: HeldOutForecasts, after: HeldOutForecasts, head: int) -> ProbeValueModel:
    """What probes of a head tell about it."""
    has = ~np.isnan(after.p_correct[:, head])
    first, then = (np.asarray(told.p_correct[has, head], np.float64) for told in (before, after))
    return (
        probe_value_model(first, then) if len(first) >= LEAST_REVEALED else calibration.probe_value_of_few(first, then)
    )


def _stage(
    trees: Trees,
    views: Sequence[tuple[Matrix, Matrix]],
    table: Outcomes,
    tokens: Matrix,
    prior_precision: float,
    beforehand: F32 | None,
) -> Stage:
    """Trees with their calibration, from what trees like them said of prompts they had not seen, familiar ones first.

    `views`: raw outputs, NaN where there are none, and novelty.
    """
    n = table.correct.shape[1]
    parts = []
    for outputs, novelty in views:
        has = ~np.isnan(outputs[:, 0])
        parts.append((outputs[has, :n], novelty[has], table.correct[has]))
    logits, strangeness, correct = (np.concatenate(part) for part in zip(*parts, strict=True))
    lines = calibration.probabilities(logits, strangeness, correct, len(views) > 1, prior_precision, beforehand)
    known = [~np.isnan(outputs[:, 0]) for outputs, _ in views]
    counts = [(outputs[has][:, n:], tokens[has]) for (outputs, _), has in zip(views, known, strict=True)]
    scale = calibration.token_scales(*counts[0])
    spread = np.stack([calibration.spreads(*counts[k], scale) for k in (0, -1)], axis=2)
    return Stage(trees, lines, scale, spread.astype(np.float16).astype(np.float32))


def stem_of(prompt: PromptRow) -> str:
    """What makes two prompts the same question: all their text, whatever its case and punctuation."""
    return outcomes.stem("\n".join(str(message.get("content")) for message in prompt.messages))


def _token_targets(table: Outcomes) -> Matrix:
    """log(1 + tokens) [prompts, 2 x heads]: thinking, then answer. Where the split is unknown, all of a think row's
    completion counts as thinking and its answer is unknown."""
    thinking, completion = table.thinking.copy(), table.completion
    thinks = np.array([arm.think for arm in table.arms])
    unsplit = np.isnan(thinking) & ~np.isnan(completion)
    answer = np.where(unsplit, np.nan, completion - thinking)
    thinking = np.where(unsplit, completion, thinking)
    thinking[:, ~thinks] = 0.0
    return np.asarray(np.log1p(np.maximum(np.hstack([thinking, answer]), 0.0)))


def _phrasings(table: Outcomes, settings: Settings) -> NDArray[np.int64]:
    """A fold for every prompt; those of a phrasing (or question) share one. Raises OutcomeError."""
    folds = _folds([prompt.group for prompt in table.prompts], settings.folds, settings.seed)
    if folds is None:
        raise OutcomeError("all prompts belong to one phrasing; cross-validation needs at least two")
    return folds


def _tasks(table: Outcomes, settings: Settings) -> NDArray[np.int64] | None:
    """The same by tasks, where phrasings do not reach over them; None where there are too few to leave any out."""
    tasks = [prompt.task for prompt in table.prompts]
    return _folds(tasks, settings.folds, settings.seed) if len(set(tasks)) >= LEAST_TASKS else None


def _folds(names: Sequence[str], folds: int, seed: int) -> NDArray[np.int64] | None:
    groups = np.unique(names, return_inverse=True)[1]
    folds = min(folds, int(groups.max()) + 1)
    if folds < 2:
        return None
    fold_of = np.zeros(len(groups), np.int64)
    for k, (_, rows) in enumerate(GroupKFold(folds, shuffle=True, random_state=seed).split(groups, groups=groups)):
        fold_of[rows] = k
    return fold_of


def _cross_validate(
    features: Sequence[Features],
    augmented: Sequence[Sequence[Features]],
    table: Outcomes,
    tokens: Matrix,
    fold_of: NDArray[np.int64],
    settings: Settings,
    say: Callable[[str], None],
    fitter: Fitter,
) -> _Unseen:
    """What trees say of prompts whose fold they did not see."""
    shape = len(table), 3 * len(table.arms)
    probed = {table.arms.index(arm): np.full(shape, np.nan) for arm in probed_arms(table, settings)}
    unseen = _Unseen(np.zeros(shape), probed, np.zeros(len(table)))
    folds = int(fold_of.max()) + 1
    for k in range(folds):
        fit = fitter(features, augmented, table, tokens, np.flatnonzero(fold_of != k), settings)
        rows = np.flatnonzero(fold_of == k)
        x, unseen.novelty[rows] = rows_of([features[i] for i in rows.tolist()], fit.vocabulary, fit.projection)
        unseen.text_stage[rows] = fit.text_stage.score_all(x)
        for head, trees in fit.probed.items():
            has, more = with_probes(x, table.probes[table.arms[head]][rows])
            unseen.probed[head][rows[has]] = trees.score_all(more)
        say(f"  fold {k + 1} of {folds} done")
    return unseen


def probed_arms(table: Outcomes, settings: Settings) -> list[Arm]:
    """The arms whose probes enough prompts have to learn from."""
    return [arm for arm, rows in table.probes.items() if (~np.isnan(rows[:, 0])).sum() >= settings.least_prompts]


def rows_of(
    features: Sequence[Features], vocabulary: Mapping[bytes, int], projection: F32
) -> tuple[F32, NDArray[np.float64]]:
    """The rows that trees read, and the novelty of each."""
    rows, novelty = zip(*(inputs(f, vocabulary, projection) for f in features), strict=True)
    return np.stack(rows), np.array(novelty)


def with_probes(x: F32, probes: Matrix) -> tuple[NDArray[np.intp], F32]:
    """Which prompts have a probe, and their rows with it."""
    has = np.flatnonzero(~np.isnan(probes[:, 0]))
    return has, np.hstack([x[has], probes[has].astype(np.float32)])


def _augmented(table: Outcomes, settings: Settings) -> list[list[Features]]:
    """Features of augmented copies of all prompts, one list per copy."""
    rng = random.Random(settings.seed)
    return [
        [featurize(adversarial.attacked(prompt.messages, rng), prompt.tools) for prompt in table.prompts]
        for _ in range(settings.attacked)
    ]


def fit_trees(
    features: Sequence[Features],
    augmented: Sequence[Sequence[Features]],
    table: Outcomes,
    tokens: Matrix,
    rows: NDArray[np.intp],
    settings: Settings,
) -> Fit:
    """Trees on these prompts and their augmented copies, held to fare alike; terms are those of the prompts."""
    views = [[view[i] for i in rows.tolist()] for view in (features, *augmented)]
    free, fitted = settings.directions, settings.fitted
    found = text_projection.fit(views[0], table.correct[rows], free, fitted, settings.least_uses, settings.seed)
    x, _ = text_projection.rows(found, views, table.correct[rows], _cv_groups(table, rows, settings), settings.seed)
    rows = np.tile(rows, 1 + len(augmented))
    probed = {}
    for arm in probed_arms(table, settings):
        has, more = with_probes(x, table.probes[arm][rows])
        probed[table.arms.index(arm)] = grow(more, table.correct[rows[has]], tokens[rows[has]], settings.boosting)
    trees = grow(x, table.correct[rows], tokens[rows], settings.boosting)
    return Fit(found.vocabulary, found.projection, trees, probed)


def _cv_groups(table: Outcomes, rows: NDArray[np.intp], settings: Settings) -> list[str]:
    """What nothing may be learned from while it is forecast for these prompts: their task, or their phrasing."""
    prompts = [table.prompts[i] for i in rows.tolist()]
    tasks = [prompt.task for prompt in prompts]
    if settings.expects == "tasks" and len(set(tasks)) >= LEAST_TASKS:
        return tasks
    return [prompt.group for prompt in prompts]


def _held_out(
    before: HeldOutForecasts, after: Mapping[int, HeldOutForecasts], strange: Matrix, table: Outcomes, seed: int
) -> HeldOut:
    """Some of the prompts, drawn at random, as an artifact keeps them."""
    most = min(TRIED_PROMPTS, max(LEAST_TRIED, TRIED_CELLS // len(table.arms)))
    rows = np.random.default_rng(seed).permutation(len(table))[:most]

    def drawn(told: HeldOutForecasts) -> HeldOutForecasts:
        return HeldOutForecasts(told.p_correct[rows], told.tokens[rows])

    return HeldOut(
        drawn(before),
        {head: drawn(told) for head, told in after.items()},
        strange[rows],
        table.correct[rows],
        table.completion[rows],
    ).rounded()


def _about(table: Outcomes, told: HeldOutForecasts, fold_of: NDArray[np.int64], settings: Settings) -> dict[str, Any]:
    """Figures of the cross-validation, per head, and where the data came from."""
    rows = []
    p, forecast = np.asarray(told.p_correct, np.float64), np.asarray(told.tokens, np.float64)
    for j, arm in enumerate(table.arms):
        known = ~np.isnan(table.correct[:, j])
        real, said = table.correct[known, j], p[known, j]
        spent = table.completion[known & ~np.isnan(table.completion[:, j]), j]
        rows.append(
            {
                "head": arm.name,
                "prompts": int(known.sum()),
                "accuracy": round(float(real.mean()), 4),
                "auc": _rounded(metrics.auc(said, real >= 0.5)),
                "ece": _rounded(metrics.ece(said, real)),
                "brier": _rounded(metrics.brier(said, real)),
                "tokens": _rounded(float(np.mean(spent)) if len(spent) else float("nan"), 1),
                "tokens_forecast": _rounded(float(forecast[known, j].mean()), 1),
            }
        )
    return {
        "prompts": len(table),
        "datasets": sorted({prompt.dataset for prompt in table.prompts}),
        "groups": len({prompt.group for prompt in table.prompts}),
        "folds": int(fold_of.max()) + 1,
        "trees": settings.boosting.rounds,
        "cross_validated": rows,
    }


def _rounded(value: float, digits: int = 4) -> float | None:
    return None if np.isnan(value) else round(value, digits)
