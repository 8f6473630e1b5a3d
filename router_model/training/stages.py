"""Calibrated stages of an artifact, from trees and their out-of-fold outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from router_model.decision.holdout import HeldOutForecasts
from router_model.model.artifact import Artifact, Head, Probed, Stage
from router_model.model.calibrated import ladders_of
from router_model.model.probe import ProbeValueModel, probe_value_model
from router_model.model.trees import F32, Trees
from router_model.training import calibration
from router_model.training.fitting import Fit, Matrix, TrainingSet
from router_model.training.out_of_fold import OutOfFold, forecasts
from router_model.training.settings import Settings

# A thought may end this many tokens late, or one in a hundred much later, and its budget still counts as enforced.
_LATE, _MOST_OVER = 8, 0.01
# The share of familiar requests that counts as out of distribution where no probe can follow.
_OOD_SHARE_WITHOUT_PROBES = 0.05
# With fewer prompts than this, the probe value model has a single parameter.
_LEAST_FOR_PROBE_VALUE = 300


def text_stage(final: Fit, views: Sequence[OutOfFold], data: TrainingSet, settings: Settings) -> Stage:
    """The stage for the request alone. `views`: out-of-fold outputs, the expected kind of traffic first."""
    outputs = [(view.text_stage, view.novelty) for view in views]
    found = _stage(final.text_stage, outputs, data, settings.prior_precision, final.lines)
    if not settings.by_probability:
        return found
    n = len(data.table.arms)
    logits, novelty = (np.concatenate(parts) for parts in zip(*((x[:, :n], new) for x, new in outputs), strict=True))
    correct = np.tile(data.table.correct, (len(outputs), 1))
    lines = calibration.order_keeping(logits, novelty, correct, len(views) > 1, settings.prior_precision)
    return replace(found, calibration=lines, by_probability=True)


def probed_stages(
    draft: Artifact,
    final: Fit,
    views: Sequence[OutOfFold],
    before: HeldOutForecasts,
    data: TrainingSet,
    settings: Settings,
) -> tuple[dict[int, Probed], dict[int, HeldOutForecasts]]:
    """By probed head: its stage with the value of its probes, and the out-of-fold forecasts after a probe."""
    probed, after = {}, {}
    for head, trees in final.probed.items():
        outputs = [(view.probed[head], view.novelty) for view in views]
        stage = _stage(trees, outputs, data, settings.prior_precision, final.probed_lines.get(head))
        p = forecasts(replace(draft, text_stage=stage), views[0].probed[head], views[0].novelty).p_correct
        after[head] = HeldOutForecasts(p, np.where(np.isnan(p), np.nan, before.tokens))
        probed[head] = Probed(stage, _probe_value(before, after[head], head))
    return probed, after


def ordered(draft: Artifact, view: OutOfFold, data: TrainingSet) -> frozenset[str]:
    """The models whose forecasts are held to not decrease with the budget: no step up was measured to lose accuracy,
    and out-of-fold forecasts so held have a lower Brier score.

    `draft` holds none of them to it.
    """
    heads, correct = draft.heads, data.table.correct
    ladders = [ladder for ladder in ladders_of(heads, None) if _never_loses(correct[:, ladder])]
    if not ladders:
        return frozenset()
    models = frozenset(heads[ladder[0]].model for ladder in ladders)
    free, held = (forecasts(replace(draft, ordered=of), view.text_stage, view.novelty) for of in (frozenset(), models))

    def error(found: HeldOutForecasts, ladder: Sequence[int]) -> float:
        return float(np.nansum(np.square(found.p_correct[:, ladder] - correct[:, ladder])))

    return frozenset(heads[ladder[0]].model for ladder in ladders if error(held, ladder) < error(free, ladder))


def over_budget(draft: Artifact, data: TrainingSet) -> frozenset[Head]:
    """The heads of which more than one thought in a hundred was longer than the budget, as far as that is known."""
    found = set()
    for j, head in enumerate(draft.heads):
        thoughts = np.expm1(data.tokens[:, j])
        thoughts = thoughts[~np.isnan(thoughts)]
        if head.budget is not None and (thoughts > head.budget + _LATE).sum() > len(thoughts) * _MOST_OVER:
            found.add(head)
    return frozenset(found)


def _never_loses(correct: Matrix) -> bool:
    """Whether no step up a ladder [prompts, budgets] has a lower mean, over the prompts that were run at both."""
    steps = np.diff(correct, axis=1)
    known = ~np.isnan(steps)
    return bool(known.any(axis=0).all() and (np.where(known, steps, 0.0).sum(axis=0) >= 0).all())


def pooled(final: Fit, views: Sequence[OutOfFold], data: TrainingSet) -> tuple[Fit, list[OutOfFold]]:
    """The same with every head's logit a weighted sum of related heads' logits, by weights fitted out of fold."""
    n = len(data.table.arms)
    heads = [Head(arm.model, arm.think, arm.budget) for arm in data.table.arms]
    weights = np.eye(3 * n)
    weights[:n, :n] = calibration.shares(views[0].text_stage[:, :n], data.table.correct, heads)
    trees = final.text_stage.mixed(weights, np.zeros(3 * n))
    return replace(final, text_stage=trees), [replace(view, text_stage=view.text_stage @ weights) for view in views]


def ood_calibration(final: Fit, views: Sequence[OutOfFold], settings: Settings) -> tuple[float, float]:
    """Slope and offset of logit P(out of distribution | novelty)."""
    if settings.expects == "tasks":
        # Every request is out of distribution, unless the transfer check shows that forecasts transfer to new tasks.
        return calibration.ALL_OOD
    share = settings.ood_share
    if share is None and not final.probed and len(views) > 1:
        # Without probes such requests get the default effort, so they must be rare in familiar traffic.
        share = _OOD_SHARE_WITHOUT_PROBES
    if share is None:
        return calibration.ood_calibration(*(view.novelty for view in views))
    return calibration.ood_threshold(views[0].novelty, share)


def _stage(
    trees: Trees,
    views: Sequence[tuple[Matrix, Matrix]],
    data: TrainingSet,
    prior_precision: float,
    prior_lines: F32 | None,
) -> Stage:
    """Trees with their calibration, from out-of-fold outputs (NaN where there are none) and novelty by view."""
    n = data.table.correct.shape[1]
    known = [~np.isnan(outputs[:, 0]) for outputs, _ in views]
    logits = np.concatenate([outputs[has, :n] for (outputs, _), has in zip(views, known, strict=True)])
    novelty = np.concatenate([novel[has] for (_, novel), has in zip(views, known, strict=True)])
    correct = np.concatenate([data.table.correct[has] for has in known])
    lines = calibration.probabilities(logits, novelty, correct, len(views) > 1, prior_precision, prior_lines)
    counts = [(outputs[has][:, n:], data.tokens[has]) for (outputs, _), has in zip(views, known, strict=True)]
    scale = calibration.token_scales(*counts[0])
    spread = np.stack([calibration.spreads(*counts[k], scale) for k in (0, -1)], axis=2)
    return Stage(trees, lines, scale, spread.astype(np.float16).astype(np.float32))


def _probe_value(before: HeldOutForecasts, after: HeldOutForecasts, head: int) -> ProbeValueModel:
    """The value model of a head's probes."""
    has = ~np.isnan(after.p_correct[:, head])
    p_before, p_after = (np.asarray(part.p_correct[has, head], np.float64) for part in (before, after))
    fit = probe_value_model if len(p_before) >= _LEAST_FOR_PROBE_VALUE else calibration.probe_value_of_few
    return fit(p_before, p_after)
