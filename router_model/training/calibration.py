"""Calibrates forecasts on the raw outputs of cross-validation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression

from router_model.data.outcomes import GENERIC
from router_model.model.artifact import Head
from router_model.model.probe import OOD_UNTRUSTED, ProbeValueModel
from router_model.model.scores import LEVELS
from router_model.model.trees import F32
from router_model.training.boosting import sigmoid

Matrix = NDArray[np.float64]
# The variance of an outcome around its forecast, as far as priors are concerned.
_VARIANCE = 0.2
# Fewer rows than this are too few to estimate quantiles of the token error.
_LEAST_FOR_SPREAD = 20
# Slope and offset of logit P(OOD | novelty) that make every request out of distribution (OOD), or none.
ALL_OOD, NONE_OOD = (0.0, 40.0), (0.0, -40.0)
# Slope of logit P(OOD | novelty) around a threshold.
_STEEP = 20.0


def probabilities(
    outputs: Matrix,
    novelty: Matrix,
    correct: Matrix,
    has_ood: bool,
    prior_precision: float = 0.1,
    beforehand: F32 | None = None,
) -> F32:
    """The `calibration` of a stage, [heads, 4], from logits [rows, heads] of rows that the trees had not seen.

    `has_ood`: some rows are of tasks that the trees had not seen, so the effect of novelty can be learned.
    `prior_precision` is the precision of a normal prior around the lines `beforehand` [heads, 4]; the default prior is
    the identity (slope 1, no offset).
    """
    heads = correct.shape[1]
    lines = np.tile(np.array([1, 0, 0, 0], np.float32), (heads, 1)) if beforehand is None else beforehand.copy()
    for j in range(heads):
        known = ~np.isnan(correct[:, j])
        lines[j] = _line(outputs[known, j], novelty[known], correct[known, j], has_ood, prior_precision, lines[j])
    return lines


def order_keeping(
    outputs: Matrix, novelty: Matrix, correct: Matrix, has_ood: bool, prior_precision: float = 0.1
) -> F32:
    """The `calibration` of a stage in probability, [heads, 4], from logits [rows, heads]; parameters as above.

    All heads share their slopes, so that differences between heads keep the order that they have in the trees. A line
    of its own on each head's logit gets lost in easy and hard prompts, where gains are small: once both lines are flat,
    these gain as much as others.
    """
    heads, p = correct.shape[1], sigmoid(outputs)
    width = 2 + 2 * heads
    gram, moment = np.diag(np.full(width, prior_precision)), np.zeros(width)
    moment[0] = prior_precision
    for j in range(heads):
        known = ~np.isnan(correct[:, j])
        x = np.zeros((int(known.sum()), width))
        x[:, 0], x[:, 2 + j] = p[known, j], 1.0
        if has_ood:
            x[:, 1], x[:, 2 + heads + j] = novelty[known] * p[known, j], novelty[known]
        gram += x.T @ x / _VARIANCE
        moment += x.T @ correct[known, j] / _VARIANCE
    slope, more_slope, *offsets = np.linalg.solve(gram, moment).tolist()
    slope = min(max(slope, 0.05), 1.5)
    more_slope = max(more_slope, 0.02 - slope)
    rows = zip(offsets[:heads], offsets[heads:], strict=True)
    return np.array([(slope, offset, more_slope, more) for offset, more in rows], np.float32)


def shares(outputs: Matrix, correct: Matrix, heads: Sequence[Head], prior_precision: float = 1.0) -> Matrix:
    """The weight that each head's pooled logit [column] gives every head's logit [row], fitted on out-of-fold logits.

    Weights are on heads of the same model and of all models together (`GENERIC`): outcomes of one model are few and
    noisy, and difficulty for many models transfers better to new tasks. The prior is the identity: all weight on a
    head's own logit.
    """
    found = np.eye(len(heads))
    ones = np.ones(len(outputs))
    for j, head in enumerate(heads):
        near = [i for i, other in enumerate(heads) if other.model in (head.model, GENERIC) and other.budget is None]
        near = sorted({*near, j})
        start = np.append(found[near, j], 0.0)
        x = np.column_stack([outputs[:, near], ones])
        found[near, j] = likeliest(x, correct[:, j], start, np.full(len(start), prior_precision), True, ones)[:-1]
    return found


def ood_calibration(familiar: Matrix, ood: Matrix | None = None) -> tuple[float, float]:
    """Slope and offset of the logit of P(OOD | novelty), from the novelty of prompts known to be either.

    Both classes weigh the same, whatever their sizes. Without out-of-distribution prompts no request counts as such.
    """
    if ood is None:
        return NONE_OOD
    x = np.concatenate([familiar, ood])[:, None]
    label = np.repeat([0, 1], [len(familiar), len(ood)])
    fitted = LogisticRegression(C=100.0, class_weight="balanced").fit(x, label)
    return max(float(fitted.coef_[0, 0]), 0.0), float(fitted.intercept_[0])


def ood_threshold(familiar: Matrix, share: float) -> tuple[float, float]:
    """Slope and offset as of `ood_calibration`: the most novel `share` of familiar requests is out of distribution."""
    most = float(np.quantile(familiar, 1 - share))
    return _STEEP, math.log(OOD_UNTRUSTED / (1 - OOD_UNTRUSTED)) - _STEEP * most


def probe_value_of_few(before: Matrix, after: Matrix, knots: int = 12, quantiles: int = 9) -> ProbeValueModel:
    """The probe value model from few prompts, given forecasts before and after their probes.

    P(correct) after a probe follows a beta distribution whose mean is the forecast before it; all prompts share one
    concentration.
    """
    room = float((before * (1 - before)).sum())
    moved = float(np.square(after - before).sum())
    certainty = min(max(room / max(moved, 1e-6) - 1, 0.1), 100.0)
    at = (np.arange(knots) + 0.5) / knots
    levels = (np.arange(quantiles) + 0.5) / quantiles
    return ProbeValueModel(at, np.stack([beta.ppf(levels, p * certainty, (1 - p) * certainty) for p in at]))


def token_scales(outputs: Matrix, tokens: Matrix) -> F32:
    """The factors [heads, 2] that make mean forecast tokens equal to mean real ones; both [rows, 2 x heads] in logs."""
    n = tokens.shape[1] // 2
    scale = np.ones((n, 2), np.float32)
    for j in range(n):
        for k, column in ((0, j), (1, n + j)):
            known = ~np.isnan(tokens[:, column])
            forecast = np.expm1(np.clip(outputs[known, column], 0, 14)).sum()
            if forecast > 0:
                scale[j, k] = np.clip(np.expm1(tokens[known, column]).sum() / forecast, 0.5, 3.0)
    return scale


def spreads(outputs: Matrix, tokens: Matrix, scale: F32) -> F32:
    """The quantiles [heads, 2, LEVELS] of log(1 + real tokens) - log(1 + forecast) over out-of-fold rows.

    `outputs` and `tokens` [rows, 2 x heads] in logs. Levels are widened for the finite number of rows as in conformal
    prediction: a new row lies below the upper quantile with at least its nominal probability, and below the lower one
    with at most its own.
    """
    n = tokens.shape[1] // 2
    found = np.zeros((n, 2, len(LEVELS)), np.float32)
    for j in range(n):
        for k, column in ((0, j), (1, n + j)):
            known = ~np.isnan(tokens[:, column])
            rows = int(known.sum())
            if rows < _LEAST_FOR_SPREAD:
                continue
            forecast = np.log1p(np.maximum(np.expm1(np.clip(outputs[known, column], 0, 14)) * scale[j, k], 0))
            outwards = [level + np.sign(level - 0.5) / rows for level in LEVELS]
            found[j, k] = np.quantile(tokens[known, column] - forecast, np.clip(outwards, 0, 1))
    return found


def _line(
    logit: Matrix, novelty: Matrix, correct: Matrix, has_ood: bool, prior_precision: float, start: F32
) -> tuple[float, float, float, float]:
    before = np.asarray(start, np.float64)
    if correct.min() != correct.max():
        x = np.column_stack([logit, np.ones(len(logit)), novelty * logit, novelty])
        # Coefficients that these rows cannot determine keep their prior.
        free = 4 if has_ood else 2
        plus = x[:, free:] @ before[free:]
        precision = np.full(free, prior_precision)
        before[:free] = likeliest(x[:, :free], correct, before[:free], precision, True, np.ones(len(logit)), plus)
    slope, offset, more_slope, more_offset = before.tolist()
    slope = min(max(slope, 0.2), 3.0)
    # At any novelty, the probability increases with the trees' logit.
    return slope, offset, max(more_slope, 0.05 - slope), more_offset


def likeliest(
    x: Matrix, y: Matrix, start: Matrix, precision: Matrix, logistic: bool, weight: Matrix, plus: Matrix | None = None
) -> Matrix:
    """The MAP coefficients [columns] of a linear or logistic regression with a normal prior around `start`.

    Rows with NaN in `y` are ignored; `weight` [rows] are sample weights; `plus` [rows] is added to the prediction.
    """
    known = ~np.isnan(y)
    x, y, weight = x[known], y[known], weight[known]
    given = np.zeros(len(y)) if plus is None else plus[known]
    if not logistic:
        around = np.linalg.solve(
            (x * weight[:, None]).T @ x + np.diag(precision), x.T @ (weight * (y - x @ start - given))
        )
        return np.asarray(start + around)

    def objective(at: Matrix) -> float:
        """The negative log posterior of these coefficients, up to a constant."""
        logit = x @ at + given
        return float(weight @ (np.logaddexp(0.0, logit) - y * logit) + precision @ np.square(at - start) / 2)

    at, now = start.astype(np.float64), objective(start)
    for _ in range(50):
        p = sigmoid(x @ at + given)
        curve = weight * np.maximum(p * (1 - p), 1e-6)
        slope = x.T @ (weight * (y - p)) - precision * (at - start)
        step = np.linalg.solve((x * curve[:, None]).T @ x + np.diag(precision), slope)
        # Backtracking: halve a Newton step until the objective falls.
        while (then := objective(at + step)) > now and np.abs(step).max() > 1e-9:
            step = step / 2
        at, gained, now = at + step, now - then, then
        if gained < 1e-9:
            break
    return np.asarray(at)
