"""Projects the terms of a request on a few features that trees can split on.

Two kinds of directions share one projection. Directions of maximal variance separate kinds of tasks. Directions fitted
to outcomes are ridge regressions of the outcomes' principal components on all terms, mostly difficulty and the gain
from thinking. Trees must learn how reliable such a feature is, so in training it comes from regressions without the
prompt's group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from router_model.features.request import Features, vocabulary
from router_model.model.request_encoding import inputs, known_terms, views_read
from router_model.model.trees import F32

Matrix = NDArray[np.float64]
RIDGE = 1.5
FOLDS = 4


class Directions(NamedTuple):
    """The row of `projection` [terms, directions] of each known term; the last `fitted` directions are fitted."""

    vocabulary: Mapping[bytes, int]
    projection: F32
    fitted: int


def fit(
    features: Sequence[Features], correct: Matrix, free: int, fitted: int, least_uses: int, seed: int
) -> Directions:
    """Fit the directions to requests and their outcomes [requests, arms], NaN where unknown."""
    terms = vocabulary((f.terms for f in features), least_uses)
    known = {term: row for row, term in enumerate(terms)}
    counts = matrix(features, known)
    parts = [_of_most_variance(counts, free, seed)]
    targets = _targets(correct, fitted)
    if targets.shape[1] and len(terms):
        parts.append(_fitted(counts, targets))
    projection = np.hstack(parts)
    return Directions(known, projection.astype(np.float16).astype(np.float32), projection.shape[1] - parts[0].shape[1])


def rows(
    found: Directions, views: Sequence[Sequence[Features]], correct: Matrix, groups: Sequence[str], seed: int
) -> tuple[F32, Matrix]:
    """The feature rows for training and the novelty, for every request in every view.

    The fitted directions come from regressions on requests of other groups.
    """
    in_views = views_read(found.vocabulary)
    read = [inputs(f, found.vocabulary, found.projection, in_views) for view in views for f in view]
    x, novelty = np.stack([row for row, _, _ in read]), np.array([novelty for _, novelty, _ in read])
    kinds = np.unique(groups, return_inverse=True)[1]
    folds = min(FOLDS, int(kinds.max()) + 1)
    if not found.fitted or folds < 2:
        return x, novelty
    counts = [matrix(view, found.vocabulary) for view in views]
    targets = _targets(correct, found.fitted)
    for others, own in GroupKFold(folds, shuffle=True, random_state=seed).split(kinds, groups=kinds):
        directions = _fitted(counts[0][others], targets[others])
        for k, view in enumerate(counts):
            x[k * len(kinds) + own, -found.fitted :] = view[own] @ directions
    return x, novelty


def matrix(features: Sequence[Features], known: Mapping[bytes, int]) -> sp.csr_matrix:
    """The weights of known terms [requests, terms]."""
    views = views_read(known)
    found = [known_terms(f, known, views) for f in features]
    lengths = [len(one.rows) for one in found]
    values = np.repeat([one.weight for one in found], lengths)
    rows = np.concatenate([one.rows for one in found]).astype(np.intp)
    return sp.csr_matrix((values, rows, np.cumsum([0, *lengths])), shape=(len(features), len(known)))


def _of_most_variance(counts: sp.csr_matrix, directions: int, seed: int) -> Matrix:
    directions = min(directions, counts.shape[1] - 1, counts.shape[0] - 1)
    if directions < 1:
        return np.zeros((counts.shape[1], 1))
    found: Matrix = TruncatedSVD(directions, random_state=seed).fit(counts).components_.T
    return found


def _targets(correct: Matrix, most: int) -> Matrix:
    """The regression targets: the first principal components of the outcomes, with unit variance [requests, most]."""
    known = ~np.isnan(correct)
    mean = np.where(known, correct, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    residue = np.where(known, correct - mean, 0.0)
    most = min(most, correct.shape[1])
    if most < 1:
        return np.zeros((len(correct), 0))
    values, axes = np.linalg.eigh(residue.T @ residue)
    found: Matrix = residue @ axes[:, np.argsort(values)[::-1][:most]]
    scaled: Matrix = found / (found.std(axis=0) + 1e-9)
    return scaled


def _fitted(counts: sp.csr_matrix, targets: Matrix) -> Matrix:
    found: Matrix = (
        Ridge(RIDGE, solver="sparse_cg", tol=1e-3).fit(counts, targets).coef_.reshape(targets.shape[1], -1).T
    )
    return found
