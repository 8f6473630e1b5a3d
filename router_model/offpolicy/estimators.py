"""Estimates of a policy's mean from decisions that another one made, with their intervals.

IPS: Horvitz, Thompson (1952, JASA 47:663-685). SNIPS: "The Self-Normalized Estimator for Counterfactual Learning"
(Swaminathan, Joachims, 2015, NIPS 28). DR: "Doubly Robust Policy Evaluation and Learning" (Dudik, Langford, Li, 2011,
ICML, arXiv:1103.4601), with the router's forecast as the model, which did not see these outcomes. SWITCH: "Optimal and
Adaptive Off-policy Evaluation in Contextual Bandits" (Wang, Agarwal, Dudik, 2017, ICML, arXiv:1612.01205), the
doubly-robust form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from router_model.offpolicy.floors import effective_size
from router_model.offpolicy.target import Modelled, Options

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


class Sample(NamedTuple):
    """Rows of which the metric is known: `weight` is the policy's probability of the path over the log's, `seen` the
    metric's value, `unit` a number for each unit, from 0 without gaps [rows]; `options` are all paths."""

    weight: F64
    seen: F64
    modelled: Modelled
    unit: Ints
    options: Options

    @property
    def ess(self) -> float:
        return effective_size(self.weight)


class Estimate(NamedTuple):
    """The mean under the policy and its interval."""

    mean: float
    low: float
    high: float


# The skewness of a mean beyond which a correction to the first order means nothing.
_MOST_SKEW = 0.5

_THRESHOLDS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 1e4, 1e6)

Estimator = Callable[[Sample, float], Estimate]


def ips(sample: Sample, level: float) -> Estimate:
    return interval(sample.weight * sample.seen, sample.unit, level, sample.ess)


def snips(sample: Sample, level: float) -> Estimate:
    total = float(sample.weight.sum())
    mean = float(sample.weight @ sample.seen) / total
    around = interval(sample.weight * (sample.seen - mean) * len(sample.seen) / total, sample.unit, level, sample.ess)
    return Estimate(mean, mean + around.low, mean + around.high)


def dr(sample: Sample, level: float) -> Estimate:
    model = sample.modelled
    scores = model.policy + model.update + sample.weight * (sample.seen - model.path)
    return interval(scores, sample.unit, level, sample.ess)


def switch(sample: Sample, level: float) -> Estimate:
    """Paths that are more than so many times likelier than in the log count by the forecast alone. Of some thresholds
    the one is taken that has the least variance plus the square of the most that this may bias, if the forecast errs by
    as much as values differ; the interval is widened by that bias.
    """
    model, rest, spread = sample.modelled, sample.seen - sample.modelled.path, float(np.ptp(sample.seen))
    found = []
    for threshold in _THRESHOLDS:
        bias = float(sample.options.beyond(threshold).mean()) * spread
        scores = model.policy + model.update + np.where(sample.weight <= threshold, sample.weight, 0.0) * rest
        found.append((float(scores.var()) / len(scores) + bias**2, bias, scores))
    _, bias, scores = min(found, key=lambda one: one[0])
    estimate = interval(scores, sample.unit, level, sample.ess)
    return Estimate(estimate.mean, estimate.low - bias, estimate.high + bias)


ESTIMATORS: dict[str, Estimator] = {"ips": ips, "snips": snips, "dr": dr, "switch": switch}


def interval(scores: F64, unit: Ints, level: float, ess: float) -> Estimate:
    """The mean of scores [rows] and its interval at 1 - `level`, over units; `ess`: how many rows really count.

    Student's interval, with as many degrees of freedom as rows really count, and on the side where skewed scores make
    it fall short, as far as Johnson's correction goes ("Modified t Tests and Confidence Intervals for Asymmetrical
    Populations", Johnson, 1978, JASA 73:536-544). Chosen by coverage in simulated logs: see the log of the router.
    """
    mean = float(scores.mean())
    sums = np.bincount(unit, scores - mean)
    n = len(sums)
    if n < 2:
        return Estimate(mean, -np.inf, np.inf)
    squares = float(sums @ sums)
    if squares == 0:
        return Estimate(mean, mean, mean)
    error = float(np.sqrt(squares * n / (n - 1))) / len(scores)
    quantile = float(t.ppf(1 - level / 2, max(min(ess, n) - 1, 1)))
    skew = float((sums**3).mean()) / (squares / n) ** 1.5 / np.sqrt(n)
    shift = float(np.clip(skew, -_MOST_SKEW, _MOST_SKEW)) / 6 * (1 + 2 * quantile**2)
    return Estimate(mean, mean - error * (quantile - min(shift, 0.0)), mean + error * (quantile + max(shift, 0.0)))
