"""One answer of which somebody has said how good it was, without a word of the request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from router_model.learning.source_weights import PRIOR, SourceWeight, kind_of
from router_model.model.kept_features import KeptFeatures

# Signs that leave no doubt.
CERTAIN = frozenset({"implicit:length"})


class Judgement(NamedTuple):
    """A `score` in [0, 1] from a `source`; `weight` is what the source itself gave it, `time` in seconds since 1970."""

    source: str
    score: float
    weight: float
    time: float


class Observation(NamedTuple):
    """An answer at one effort. `request` is the same for all answers to one request, also those in the background.

    `model` is the deployment's name for routers, `budget` that of an effort that thinks (None: unlimited), `right` how
    good the answer was, in [0, 1], and `weight` how much that counts. Tokens are None where unknown. `probe` are the
    inputs of a probe that came first, and `skipped` the forecast of its answer, which was thrown away. `background`: no
    client has seen the answer.
    """

    request: str
    features: KeptFeatures
    model: str
    think: bool
    budget: int | None
    right: float
    weight: float
    time: float
    key: str | None = None
    completion: float | None = None
    thinking: float | None = None
    probe: tuple[float, ...] | None = None
    skipped: float | None = None
    background: bool = False


def combined(judgements: Iterable[Judgement], weights: Mapping[str, SourceWeight]) -> tuple[float, float] | None:
    """The mean score by weight, and the weight of the best source; None where nobody counts.

    Sources that contradict each other meet in the middle, nearer to the better one.
    """
    counted = [(one.score, one.weight * _weight(one.source, weights)) for one in judgements if 0.0 <= one.score <= 1.0]
    total = sum(weight for _, weight in counted)
    if total <= 0:
        return None
    return sum(score * weight for score, weight in counted) / total, min(max(weight for _, weight in counted), 1.0)


def _weight(source: str, weights: Mapping[str, SourceWeight]) -> float:
    if source in CERTAIN:
        return 1.0
    return weights[source].weight if source in weights else PRIOR[kind_of(source)]
