"""Makes forecasts mean what they say, from raw outputs of cross-validation."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from router_model.trees import F32

Matrix = NDArray[np.float64]


def calibrate(outputs: Matrix, correct: Matrix, tokens: Matrix) -> tuple[F32, F32]:
    """Per head: slope and offset of the logit; the factors that make mean forecast tokens equal to mean real ones."""
    n = correct.shape[1]
    calibration = np.tile(np.array([1.0, 0.0], np.float32), (n, 1))
    scale = np.ones((n, 2), np.float32)
    for j in range(n):
        known = ~np.isnan(correct[:, j])
        calibration[j] = _platt(outputs[known, j], correct[known, j])
        for k, column in ((0, n + j), (1, 2 * n + j)):
            known = ~np.isnan(tokens[:, column - n])
            forecast = np.expm1(np.clip(outputs[known, column], 0, 14)).sum()
            if forecast > 0:
                scale[j, k] = np.clip(np.expm1(tokens[known, column - n]).sum() / forecast, 0.5, 3.0)
    return calibration, scale


def _platt(logit: Matrix, correct: Matrix) -> tuple[float, float]:
    if correct.min() == correct.max():
        return 1.0, 0.0
    x = np.concatenate([logit, logit])[:, None]
    label = np.repeat([1, 0], len(logit))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(C=10.0).fit(x, label, sample_weight=np.concatenate([correct, 1 - correct]))
    return float(np.clip(fitted.coef_[0, 0], 0.2, 3.0)), float(fitted.intercept_[0])
