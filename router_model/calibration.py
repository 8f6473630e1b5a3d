"""Makes forecasts mean what they say, from raw outputs of cross-validation."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from router_model.trees import F32

Matrix = NDArray[np.float64]


def probabilities(outputs: Matrix, novelty: Matrix, correct: Matrix, strange: bool) -> F32:
    """The `calibration` of a stage, [heads, 4], from logits [rows, heads] of rows that the trees had not seen.

    `strange`: among the rows are kinds of work the trees had not seen, so that what novelty takes away can be learned.
    """
    lines = np.zeros((correct.shape[1], 4), np.float32)
    for j in range(correct.shape[1]):
        known = ~np.isnan(correct[:, j])
        lines[j] = _line(outputs[known, j], novelty[known], correct[known, j], strange)
    return lines


def strangeness(familiar: Matrix, strange: Matrix | None = None) -> tuple[float, float]:
    """Slope and offset of the logit of P(strange | novelty), from the novelty of prompts known to be either.

    Both kinds count alike, however many there are. Without strange ones nothing is held to be strange.
    """
    if strange is None:
        return 0.0, -40.0
    x = np.concatenate([familiar, strange])[:, None]
    label = np.repeat([0, 1], [len(familiar), len(strange)])
    fitted = LogisticRegression(C=100.0, class_weight="balanced").fit(x, label)
    return max(float(fitted.coef_[0, 0]), 0.0), float(fitted.intercept_[0])


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


def _line(logit: Matrix, novelty: Matrix, correct: Matrix, strange: bool) -> tuple[float, float, float, float]:
    if correct.min() == correct.max():
        return 1.0, 0.0, 0.0, 0.0
    columns = [logit, novelty * logit, novelty] if strange else [logit]
    x = np.column_stack(columns)
    label = np.repeat([1, 0], len(logit))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(C=10.0).fit(
            np.vstack([x, x]), label, sample_weight=np.concatenate([correct, 1 - correct])
        )
    slope, offset = float(np.clip(fitted.coef_[0, 0], 0.2, 3.0)), float(fitted.intercept_[0])
    if not strange:
        return slope, offset, 0.0, 0.0
    # However strange a prompt, more of what the trees call likely stays more likely.
    return slope, offset, max(float(fitted.coef_[0, 1]), 0.05 - slope), float(fitted.coef_[0, 2])
