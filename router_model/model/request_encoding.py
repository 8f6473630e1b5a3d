"""Encodes a request as the row of numbers that the trees read, and measures how novel it is."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

import numpy as np

from router_model.features.request import Features
from router_model.model.trees import F32


class EncodedRequest(NamedTuple):
    """A request as the trees read it.

    `novelty` in [0,1]: the share of its terms that the router has never met; `strange`: the probability that it is of a
    kind never met, where that is as likely as not beforehand.
    """

    row: F32
    novelty: float
    strange: float


def term_rows(features: Features, vocabulary: Mapping[bytes, int]) -> list[int]:
    """The rows of the terms that the router knows, rising, so that sums over them come out the same in any process."""
    rows = [row for term in features.terms if (row := vocabulary.get(term)) is not None]
    rows.sort()
    return rows


def term_weight(features: Features) -> float:
    """What each term of a request weighs: together they are of length 1, known or not."""
    return 1 / sqrt(len(features.terms) or 1)


def inputs(features: Features, vocabulary: Mapping[bytes, int], projection: F32) -> tuple[F32, float]:
    """The row that the trees read, structural counts before terms projected on a few directions, and the novelty."""
    known = term_rows(features, vocabulary)
    directions = projection.take(known, axis=0).sum(axis=0) * term_weight(features)
    novelty = 1 - len(known) / len(features.terms) if features.terms else 0.0
    return np.array([*features.dense, *directions.tolist()], np.float32), novelty
