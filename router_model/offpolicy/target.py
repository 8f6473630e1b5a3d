"""A policy to be judged on logged decisions: how likely it would have taken each path, and what forecasts say of it.

A path is: asked for a probe or not, then the effort that was committed to. What a probe reveals is known only where one
was asked for, so the forecast of a policy is a sequence of two, each corrected by what was seen after it: "Doubly
Robust Off-policy Value Evaluation for Reinforcement Learning" (Jiang, Li, 2016, ICML, arXiv:1511.03722).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from router_model.offpolicy.log_columns import Prices, direct_lines
from router_model.offpolicy.logged import Logged, PathMasses

F64 = NDArray[np.float64]
# Below any probability of a path that was ever taken.
_TINY = 1e-12
METRICS = ("outcome", "total_tokens", "latency_s")


class Modelled(NamedTuple):
    """What forecasts say of one metric, [rows].

    `policy`: of the whole policy, before anything is known of the row but its forecast; `update`: how much better or
    worse the probe of a row made it look, times the weight of asking (0 where none was asked for); `path`: of the path
    that was taken. The mean of policy + update + weight * (seen - path) is unbiased, whatever the forecasts are.
    """

    policy: F64
    update: F64
    path: F64


class Options(NamedTuple):
    """Every path that the policy might have taken, [rows, paths]: its probability under the policy and under the log's
    own, and how many rows it counts for."""

    policy: F64
    log: F64
    counts: F64

    def beyond(self, threshold: float) -> F64:
        """The share [rows] of what the policy would do that it is more than `threshold` times as likely to do."""
        often = self.policy > threshold * np.maximum(self.log, _TINY)
        beyond: F64 = (self.counts * np.where(often, self.policy, 0.0)).sum(axis=1)
        return beyond


class Judged(NamedTuple):
    """`probability` [rows]: that the policy takes the logged path; what forecasts say of it, by metric."""

    probability: F64
    modelled: Mapping[str, Modelled]
    options: Options


class Target(Protocol):
    """Any policy: prices, or something else that can say how likely it would have done what was done."""

    def judge(self, logged: Logged) -> Judged: ...


@dataclass(frozen=True, slots=True)
class DistributionTarget:
    """A policy by its probabilities [rows, efforts], for logs without probes. Rows of it sum to 1.

    ValueError, in `judge`: another shape, negative ones, sums that are not 1, or a log with probes.
    """

    probabilities: F64

    def judge(self, logged: Logged) -> Judged:
        chances = self.probabilities
        if chances.shape != (len(logged), logged.efforts) or (chances < 0).any():
            raise ValueError("a policy gives every row one probability for each effort")
        if not np.allclose(chances.sum(axis=1), 1.0, atol=1e-6):
            raise ValueError("the probabilities of a row sum to 1")
        if logged.probes.asked.any():
            raise ValueError("where probes were asked for, a distribution over efforts says too little of a policy")
        zero = np.zeros(len(logged))
        modelled = {
            name: Modelled(
                np.where(chances > 0, chances * np.nan_to_num(table), 0.0).sum(axis=1), zero, logged.of_chosen(table)
            )
            for name, table in zip(METRICS, logged.forecasts[:3], strict=True)
        }
        own = logged.own_masses.direct
        return Judged(logged.of_chosen(chances), modelled, Options(chances, own, np.ones_like(own)))


@dataclass(frozen=True, slots=True)
class PricedTarget:
    """The served decision rule at other prices, with or without exploration."""

    prices: Prices

    def judge(self, logged: Logged) -> Judged:
        masses, own = logged.masses(self.prices), logged.own_masses
        weight = masses.ask / np.where(own.ask > 0, own.ask, 1.0)
        modelled = {name: _modelled(logged, name, self.prices, masses, weight) for name in METRICS}
        return Judged(logged.of_path(masses), modelled, _options(logged, masses, own))


def _options(logged: Logged, masses: PathMasses, own: PathMasses) -> Options:
    """Both policies' paths; one over a probe stands for all that the probe of its row might have revealed."""
    counts = np.where(logged.probes.asked, 1 / np.maximum(own.ask, _TINY), 0.0)[:, None]
    return Options(
        np.concatenate([masses.direct, masses.committed], axis=1),
        np.concatenate([own.direct, own.committed], axis=1),
        np.concatenate([np.ones_like(own.direct), np.broadcast_to(counts, own.committed.shape)], axis=1)
        * ~logged.fixed[:, None],
    )


def _modelled(logged: Logged, metric: str, prices: Prices, masses: PathMasses, weight: F64) -> Modelled:
    direct, ask, committed = masses
    before = np.nan_to_num(logged.forecasts[METRICS.index(metric)])
    after = _paths_after(logged, metric, before)
    asked = logged.probes.asked
    first = _expected_after(logged, metric, prices, before)
    policy = (direct * before).sum(axis=1) + np.where(ask > 0, ask * first, 0.0)
    second = (committed * after).sum(axis=1) / np.where(ask > 0, ask, 1.0)
    update = np.where(asked & (ask > 0), weight * (second - first), 0.0)
    path = np.where(asked, logged.of_chosen(after), logged.of_chosen(before))
    own = np.where(logged.fixed, path, policy)
    return Modelled(own, np.where(logged.fixed, 0.0, update), path)


def _paths_after(logged: Logged, metric: str, before: F64) -> F64:
    """The forecast [rows, efforts] of a metric for the path over a probe to each effort; discarded probes count."""
    if metric == "outcome":
        return np.nan_to_num(logged.probes.p_after)
    after = before + before[:, :1]
    after[:, 0] = before[:, 0]
    return after


def _expected_after(logged: Logged, metric: str, prices: Prices, before: F64) -> F64:
    """What asking brings [rows], by what a probe may reveal; a guess that needs to be the same for every outcome."""
    values, slopes = direct_lines(logged.forecasts, logged.probes, prices.second)
    worth = values - prices.token[:, None] * slopes
    nothing = np.isnan(worth).all(axis=1)
    worth[nothing, 0] = 0.0
    best = np.nanargmax(worth, axis=1)
    rows = np.arange(len(logged))
    outcomes = np.nan_to_num(logged.probes.outcomes, nan=-np.inf)
    convinces = outcomes >= worth[rows, best][:, None]
    thinking = before[rows, best]
    if metric == "outcome":
        after: F64 = np.where(convinces, outcomes, thinking[:, None]).mean(axis=1)
    else:
        after = before[:, 0] + (~convinces).mean(axis=1) * thinking
    return after
