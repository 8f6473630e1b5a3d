"""Fits the generic probe: one logistic curve for all models, and how far models and kinds of work lie from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from router_model.adapting.probe_samples import F64, ProbeSamples
from router_model.model.generic_probe import FEATURES, GenericProbe

LEVEL = 0.8
QUANTILES = 9
_ROUNDS, _STEPS = 30, 25


def fit(samples: ProbeSamples, chosen: Sequence[str], version: str = "") -> GenericProbe:
    """By these features, the others have no weight."""
    curve = regression(samples, chosen)
    offset_sd, slope_sd = deviations(samples, samples.inputs @ np.array(curve[1]) + curve[0])
    bare = GenericProbe(version, curve[0], curve[1], offset_sd, slope_sd, LEVEL, ())
    bounds = np.sort([bare.bound(logit) for logit in logits(bare, samples)])
    places = np.quantile(bounds, (np.arange(QUANTILES) + 0.5) / QUANTILES)
    return GenericProbe(version, *curve, offset_sd, slope_sd, LEVEL, tuple(round(float(p), 4) for p in places))


def regression(samples: ProbeSamples, chosen: Sequence[str]) -> tuple[float, tuple[float, ...]]:
    """Intercept and weights of the features; every family of models counts alike."""
    from sklearn.linear_model import LogisticRegression

    columns = [FEATURES.index(name) for name in chosen]
    fitted = LogisticRegression(C=1.0).fit(samples.inputs[:, columns], samples.right > 0.5, samples.weights)
    weights = np.zeros(len(FEATURES))
    weights[columns] = fitted.coef_[0]
    return round(float(fitted.intercept_[0]), 4), tuple(round(float(w), 4) for w in weights)


def logits(curve: GenericProbe, samples: ProbeSamples) -> F64:
    return np.asarray(curve.intercept + samples.inputs @ np.array(curve.weights), np.float64)


def deviations(samples: ProbeSamples, logit: F64) -> tuple[float, float]:
    """The standard deviations of offset and slope over groups of one model and one kind of work, by the EM algorithm
    with a normal approximation of each group's posterior (Laird and Ware, "Random-effects models for longitudinal
    data", Biometrics 38, 1982, doi:10.2307/2529876).
    """
    groups = [
        (logit[chosen], samples.right[chosen])
        for model in np.unique(samples.model)
        for kind in np.unique(samples.kind)
        if (chosen := (samples.model == model) & (samples.kind == kind)).any()
    ]
    variances = np.array([1.0, 0.1])
    for _ in range(_ROUNDS):
        variances = np.mean([_second_moments(*group, variances) for group in groups], axis=0)
    return round(float(variances[0] ** 0.5), 4), round(float(variances[1] ** 0.5), 4)


def _second_moments(logit: F64, right: F64, variances: F64) -> F64:
    """Of a group's offset, and of how far its slope is from 1."""
    design = np.column_stack([np.ones_like(logit), logit])
    usual, found = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        covariance = np.linalg.inv((design.T * (p * (1 - p))) @ design + np.diag(1 / variances))
        step = covariance @ (design.T @ (right - p) - (found - usual) / variances)
        found = found + np.clip(step, -1, 1)
    return np.asarray((found - usual) ** 2 + np.diag(covariance), np.float64)
