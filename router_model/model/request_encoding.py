"""Encodes a request as a row of features for the trees, and measures its novelty.

An artifact reads the last user message, and another view of a request (the earlier conversation, the system text, the
tools) only if its training data had that view: what it cannot have known about there makes no request novel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from math import sqrt
from typing import NamedTuple

import numpy as np

from router_model.features.request import VIEWS, Features
from router_model.model.need import Need
from router_model.model.trees import F32

# Fewer terms of a view than this come from a handful of wordings, which are not what requests are compared with.
LEAST_TERMS = 100


class EncodedRequest(NamedTuple):
    """A request as a feature row.

    `novelty` in [0,1]: the share of its terms, in the views that the artifact reads, that are not in the
    vocabulary; `ood_probability`: the probability that
    it is out of distribution (a kind of task not in the training data), at even prior odds.
    """

    row: F32
    novelty: float
    ood_probability: float


class KnownTerms(NamedTuple):
    """The vocabulary rows of a request's known terms, sorted so that float sums are equal in every process.

    `counted` is the number of terms by which they are weighted: all of the views that are read, and the known ones of
    others.
    """

    rows: list[int]
    counted: int

    @property
    def weight(self) -> float:
        """The weight of each term: the vector of all terms that count, known or not, has length 1."""
        return 1 / sqrt(self.counted or 1)

    @property
    def novelty(self) -> float:
        return 1 - len(self.rows) / self.counted if self.counted else 0.0


def views_read(vocabulary: Collection[bytes]) -> frozenset[int]:
    """The views, by their place in VIEWS, that an artifact with this vocabulary reads."""
    uses = Counter(term[:1] for term in vocabulary)
    return frozenset({0, *(i for i, prefix in enumerate(VIEWS) if prefix and uses[prefix] >= LEAST_TERMS)})


def known_terms(features: Features, vocabulary: Mapping[bytes, int], views: Collection[int]) -> KnownTerms:
    """The known terms of a request; `views` as of `views_read`."""
    rows: list[int] = []
    counted = 0
    for view, terms in enumerate(features.by_view):
        found = [row for term in terms if (row := vocabulary.get(term)) is not None]
        rows += found
        counted += len(terms) if view in views else len(found)
    rows.sort()
    return KnownTerms(rows, counted)


def inputs(
    features: Features,
    vocabulary: Mapping[bytes, int],
    projection: F32,
    views: Collection[int],
    need: Need | None = None,
) -> tuple[F32, float, KnownTerms]:
    """The feature row (structural counts, the need if any, then the projected terms), the novelty, the known terms.

    With a need, novelty is that of the grams of what is asked.
    """
    known = known_terms(features, vocabulary, views)
    # What the method `sum` calls in the end.
    directions = np.add.reduce(projection.take(known.rows, axis=0), axis=0) * known.weight
    if need is None:
        return np.array([*features.dense, *directions.tolist()], np.float32), known.novelty, known
    score, novelty = need(features.ask, features.dense)
    return np.array([*features.dense, score, *directions.tolist()], np.float32), novelty, known
