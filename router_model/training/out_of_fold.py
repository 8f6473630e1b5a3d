"""Out-of-fold outputs of trees, and their forecasts under a calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.decision.holdout import HeldOutForecasts
from router_model.model.artifact import Artifact
from router_model.model.predict import Predictor
from router_model.training.fitting import Fitter, Matrix, TrainingSet, probed_arms, with_probes
from router_model.training.settings import Settings


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Raw outputs [prompts, 3 x heads] of trees trained without a prompt's group, and the novelty [prompts].

    `probed` by head, NaN where a prompt has no probe of it.
    """

    text_stage: Matrix
    probed: Mapping[int, Matrix]
    novelty: Matrix


def cross_validate(
    data: TrainingSet, fold_of: NDArray[np.int64], settings: Settings, say: Callable[[str], None], fitter: Fitter
) -> OutOfFold:
    """The outputs for every prompt of trees trained without its fold."""
    table = data.table
    shape = len(table), 3 * len(table.arms)
    probed = {table.arms.index(arm): np.full(shape, np.nan) for arm in probed_arms(table, settings)}
    found = OutOfFold(np.zeros(shape), probed, np.zeros(len(table)))
    folds = int(fold_of.max()) + 1
    for k in range(folds):
        fit = fitter(data, np.flatnonzero(fold_of != k), settings)
        rows = np.flatnonzero(fold_of == k)
        own = [data.features[i] for i in rows.tolist()]
        x, found.novelty[rows] = data.encode(own, fit.vocabulary, fit.projection, fit.need)
        found.text_stage[rows] = fit.text_stage.score_all(x)
        for head, trees in fit.probed.items():
            has, more = with_probes(x, table.probes[table.arms[head]][rows])
            found.probed[head][rows[has]] = trees.score_all(more)
        say(f"  fold {k + 1} of {folds} done")
    return found


def forecasts(draft: Artifact, outputs: Matrix, novelty: Matrix) -> HeldOutForecasts:
    """The forecasts of raw outputs under the calibration of a draft; NaN where outputs are."""
    predictor = Predictor(draft)
    p, tokens = (np.full((len(outputs), len(draft.heads)), np.nan) for _ in range(2))
    for i in np.flatnonzero(~np.isnan(outputs[:, 0])).tolist():
        scores = predictor.finish(outputs[i].tolist(), float(novelty[i]))
        p[i], tokens[i] = scores.p_correct, np.add(scores.thinking_tokens, scores.answer_tokens)
    return HeldOutForecasts(p, tokens)
