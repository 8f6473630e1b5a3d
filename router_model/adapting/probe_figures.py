"""How well a generic probe does on models that it has not seen: every family of models is left out in turn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from router_model.adapting import probe_curve
from router_model.adapting.probe_samples import F64, ProbeSamples
from router_model.evaluation import metrics
from router_model.model.generic_probe import FEATURES

# Forecasts of P(right) for the second samples by what was fitted to the first.
Learner = Callable[[ProbeSamples, ProbeSamples], F64]
CURVES = {
    "mean token": FEATURES[:1],
    "least token": FEATURES[1:2],
    "mean and least token": FEATURES[:2],
    "mean and least token, cut short": (*FEATURES[:2], FEATURES[3]),
    "whole answer": FEATURES[2:3],
    "whole answer, cut short": FEATURES[2:],
    "all": FEATURES,
}
DRAWS = 1000


def _logistic(chosen: tuple[str, ...], known: ProbeSamples, new: ProbeSamples) -> F64:
    intercept, weights = probe_curve.regression(known, chosen)
    return np.asarray(1 / (1 + np.exp(-(intercept + new.inputs @ np.array(weights)))), np.float64)


def _isotonic(column: int, known: ProbeSamples, new: ProbeSamples) -> F64:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(out_of_bounds="clip").fit(known.inputs[:, column], known.right, known.weights)
    return np.asarray(fitted.predict(new.inputs[:, column]), np.float64)


def _trees(known: ProbeSamples, new: ProbeSamples) -> F64:
    from sklearn.ensemble import GradientBoostingClassifier

    fitted = GradientBoostingClassifier(max_depth=2, n_estimators=40, random_state=0)
    fitted.fit(known.inputs, known.right > 0.5, known.weights)
    return np.asarray(fitted.predict_proba(new.inputs)[:, 1], np.float64)


def _ranked(samples: ProbeSamples) -> ProbeSamples:
    """Each feature by its rank among the model's own probes, as running quantiles would have it."""
    inputs = samples.inputs.copy()
    for model in np.unique(samples.model):
        own = samples.model == model
        inputs[own] = (np.argsort(np.argsort(inputs[own], axis=0), axis=0) + 0.5) / own.sum()
    return ProbeSamples(**{name: getattr(samples, name) for name in samples.__slots__} | {"inputs": inputs})


def _by_rank(known: ProbeSamples, new: ProbeSamples) -> F64:
    return _logistic(FEATURES[:2], _ranked(known), _ranked(new))


LEARNERS: dict[str, Learner] = {
    **{f"logistic: {name}": partial(_logistic, chosen) for name, chosen in CURVES.items()},
    "isotonic: mean token": partial(_isotonic, 0),
    "isotonic: whole answer": partial(_isotonic, 2),
    "boosted trees: all": _trees,
    "ranks of the deployment's own: mean and least token": _by_rank,
}


def left_out(samples: ProbeSamples, learner: Learner) -> F64:
    """The forecast of each probe by those of other families of models. ValueError: there is one family alone."""
    families = np.unique(samples.relatives)
    if len(families) < 2:
        raise ValueError("leaving one family of models out needs two")
    found = np.zeros(len(samples))
    for family in families:
        new = samples.relatives == family
        found[new] = learner(samples.where(~new), samples.where(new))
    return found


def brier(forecast: F64, samples: ProbeSamples) -> float:
    """Mean over families of models."""
    error = (forecast - samples.right) ** 2
    return float(np.mean([error[samples.relatives == family].mean() for family in np.unique(samples.relatives)]))


def interval(figure: Callable[[F64, F64], float], forecast: F64, right: F64) -> tuple[float, float, float]:
    """The figure, and its 95 % bootstrap interval over probes."""
    draw = np.random.default_rng(0)
    n, found = len(right), []
    for _ in range(DRAWS):
        rows = draw.integers(0, n, n)
        found.append(figure(forecast[rows], right[rows]))
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return figure(forecast, right), float(low), float(high)


def squared_error(forecast: F64, right: F64) -> float:
    return float(((forecast - right) ** 2).mean())


def recovered(forecast: F64, samples: ProbeSamples) -> float:
    """Token APGR of thinking where the forecast is lowest, the discarded probe charged; NaN: nothing thinks here."""
    both = ~np.isnan(samples.strong)
    if not both.any():
        return float("nan")
    return metrics.token_apgr(
        1 - forecast[both], samples.right[both], samples.strong[both], samples.strong_tokens[both]
    )


def kept(bound: F64, samples: ProbeSamples, least: float) -> tuple[float, float]:
    """The share of answers whose bound is at least so high, and how many of them are right."""
    chosen = bound >= least
    return float(chosen.mean()), float(samples.right[chosen].mean()) if chosen.any() else float("nan")


def covered(bound: F64, samples: ProbeSamples) -> float:
    """The share of groups of one model and kind of work whose accuracy is at least the mean of their bounds."""
    groups = [
        samples.right[chosen].mean() >= bound[chosen].mean()
        for model in np.unique(samples.model)
        for kind in np.unique(samples.kind)
        if (chosen := (samples.model == model) & (samples.kind == kind)).any()
    ]
    return float(np.mean(groups))
