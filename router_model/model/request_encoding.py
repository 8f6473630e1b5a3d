"""Encodes a request as a row of features for the trees, and measures its novelty."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

import numpy as np

from router_model.features.request import Features
from router_model.model.trees import F32


class EncodedRequest(NamedTuple):
    """A request as a feature row.

    `novelty` in [0,1]: the share of its terms that are not in the vocabulary; `ood_probability`: the probability that
    it is out of distribution (a kind of task not in the training data), at even prior odds.
    """

    row: F32
    novelty: float
    ood_probability: float


def term_rows(features: Features, vocabulary: Mapping[bytes, int]) -> list[int]:
    """The vocabulary rows of the known terms, sorted so that float sums are equal in every process."""
    rows = [row for term in features.terms if (row := vocabulary.get(term)) is not None]
    rows.sort()
    return rows


def term_weight(features: Features) -> float:
    """The weight of each term: the vector of all terms, known or not, has length 1."""
    return 1 / sqrt(len(features.terms) or 1)


def inputs(features: Features, vocabulary: Mapping[bytes, int], projection: F32) -> tuple[F32, float]:
    """The feature row (structural counts, then the projected terms) and the novelty."""
    known = term_rows(features, vocabulary)
    # What the method `sum` calls in the end.
    directions = np.add.reduce(projection.take(known, axis=0), axis=0) * term_weight(features)
    novelty = 1 - len(known) / len(features.terms) if features.terms else 0.0
    return np.array([*features.dense, *directions.tolist()], np.float32), novelty
