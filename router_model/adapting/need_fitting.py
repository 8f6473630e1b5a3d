"""Fits the need: a ridge regression of graded prompts on their grams and counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from router_model.adapting.assumptions import Assumptions
from router_model.adapting.graded import Graded
from router_model.features.grams import BUCKETS, grams_of
from router_model.features.request import TEXT_COUNTS, Features, featurize
from router_model.model.need import FURTHEST, Need

Matrix = NDArray[np.float64]
# A standard deviation of a count moves the vector of length 1 that the grams make by so much.
_COUNT = 0.1
# Buckets with fewer prompts than this share of all buckets have are not familiar: chance fills most of them.
_UNFAMILIAR = 0.75
# Weights beyond this quantile of their size are cut, so that the others keep their places in eight bits.
_LARGEST = 0.9995


@dataclass(frozen=True, slots=True)
class Material:
    """Prompts as matrices: `grams` [prompts, BUCKETS], each row of length 1; `counts` [prompts, TEXT_COUNTS]."""

    grams: sp.csr_matrix
    counts: Matrix
    need: Matrix
    weight: Matrix

    @classmethod
    def of(cls, prompts: Sequence[Graded]) -> Material:
        features = [features_of(one.messages) for one in prompts]
        found = [grams_of(one.ask) for one in features]
        values = np.concatenate([one.counts / np.sqrt(np.square(one.counts).sum()) for one in found])
        ends = np.cumsum([0, *(len(one.buckets) for one in found)])
        places = np.concatenate([one.buckets for one in found]).astype(np.int32)
        return cls(
            sp.csr_matrix((values, places, ends), shape=(len(prompts), BUCKETS)),
            np.array([one.dense[:TEXT_COUNTS] for one in features]),
            np.array([one.need for one in prompts]),
            np.array([one.weight for one in prompts]),
        )

    def rows(self, chosen: NDArray[np.bool_]) -> Material:
        return Material(self.grams[chosen], self.counts[chosen], self.need[chosen], self.weight[chosen])


def features_of(messages: list[dict[str, Any]]) -> Features:
    return featurize(messages)


def fit(material: Material, assumed: Assumptions) -> Need:
    centre = material.counts.mean(axis=0)
    spread = material.counts.std(axis=0) + 1e-3
    away = np.clip((material.counts - centre) / spread, -FURTHEST, FURTHEST)
    x = sp.hstack([material.grams, sp.csr_matrix(away * _COUNT)]).tocsr()
    ridge = Ridge(assumed.ridge, solver="sparse_cg", tol=1e-4).fit(x, material.need, sample_weight=material.weight)
    coefficients = np.asarray(ridge.coef_, np.float64)
    scale = float(np.quantile(np.abs(coefficients[:BUCKETS]), _LARGEST)) / 127
    prompts = np.asarray((material.grams > 0).sum(axis=0)).ravel()
    return Need(
        np.clip(np.rint(coefficients[:BUCKETS] / scale), -127, 127).astype(np.int8),
        scale,
        (prompts > np.quantile(prompts, _UNFAMILIAR)).astype(np.uint8),
        (coefficients[BUCKETS:] * _COUNT).astype(np.float32),
        centre.astype(np.float32),
        spread.astype(np.float32),
        float(ridge.intercept_),
    )


def predict(need: Need, material: Material) -> Matrix:
    """The need of each prompt."""
    away = np.clip((material.counts - need.centre) / need.spread, -FURTHEST, FURTHEST)
    scores = material.grams @ need.weights.astype(np.float64) * need.scale + away @ need.counts + need.offset
    return np.asarray(scores, np.float64)


def without(material: Material, groups: NDArray[np.str_], others: NDArray[np.str_], assumed: Assumptions) -> Matrix:
    """The need of each prompt of a group of `groups` by a fit without this group; NaN where `groups` is "".

    `others` [prompts]: the group that a prompt is left out with; those of no group are in every fit.
    """
    found = np.full(len(groups), np.nan)
    for name in np.unique(groups[groups != ""]):
        own = groups == name
        found[own] = predict(fit(material.rows(others != name), assumed), material.rows(own))
    return found
