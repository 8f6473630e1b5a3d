"""How much outcomes of each source count, by how well they agree with better sources where there are both.

A source that always says the same agrees with everybody where nearly all answers are right, so agreement counts only
beyond what its words would reach by chance, as in Cohen's kappa: "A coefficient of agreement for nominal scales"
(Cohen, 1960, Educational and Psychological Measurement 20(1):37-46). For labels that are wrong at random, this factor
is by how much they weaken what is learned: "Learning with noisy labels" (Natarajan, Dhillon, Ravikumar, Tewari, 2013,
NIPS 26).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import NamedTuple

from router_model.evaluation.intervals import wilson

JUDGE = "shadow:judge"
# The better sources come first. A source belongs to the first of these that it is or is of: `person:session` is a
# person, and the judge is no better than signs that nobody has to report until it has shown that it is.
ORDER = ("verifier", "person", JUDGE, "shadow", "implicit")
RANKS = {"verifier": 0, "person": 1, "shadow": 2, JUDGE: 3, "implicit": 4}
# What a source counts before anything is measured, and how many pairs with better sources that is worth.
PRIOR = {"verifier": 1.0, "person": 0.8, "shadow": 0.6, JUDGE: 0.0, "implicit": 0.3}
PRIOR_PAIRS = 20.0
# A judge counts for nothing until its agreement with better sources is surely above this.
LEAST_AGREEMENT = {JUDGE: 0.7}


class Claim(NamedTuple):
    """What a source says of a subject, in [0, 1]. Claims of one subject are about the same thing: whether an answer is
    right, say, or whether thinking changed it.
    """

    subject: str
    source: str
    score: float


class SourceWeight(NamedTuple):
    """`weight` in [0, 1] is for learning. `agreement` with better sources, in [0, 1], is over `pairs` subjects that
    both have judged, with its 95 % interval `ci`; `chance` is what it would be if the source knew nothing. None: no
    better source has judged the same, and the weight is the one that was set before.
    """

    source: str
    weight: float
    pairs: int
    agreement: float | None = None
    chance: float | None = None
    ci: tuple[float, float] = (0.0, 1.0)


def kind_of(source: str) -> str:
    """The word of `ORDER` that a source is of. A source that nobody knows counts as an implicit one."""
    return next((kind for kind in ORDER if source == kind or source.startswith(f"{kind}:")), "implicit")


def source_weights(
    claims: Iterable[Claim],
    prior: Mapping[str, float] = PRIOR,
    prior_pairs: float = PRIOR_PAIRS,
    least_agreement: Mapping[str, float] = LEAST_AGREEMENT,
) -> dict[str, SourceWeight]:
    """The weight of every source among the claims, by its name.

    Verifiers are measured by nobody. Where better sources contradict each other, their mean is what counts, so that
    both answers agree with it by half. `prior`, by kind, counts as if measured on `prior_pairs` pairs; a kind in
    `least_agreement` counts for nothing until the lower bound of its agreement is above that.
    """
    by_subject: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_subject[claim.subject].append(claim)
    sources = sorted({claim.source for given in by_subject.values() for claim in given})
    return {
        source: _weight(source, _pairs(source, by_subject.values()), prior, prior_pairs, least_agreement)
        for source in sources
    }


class _Pairs(NamedTuple):
    """What a source and better ones said of the same, and what better ones say on average of anything."""

    scores: Sequence[tuple[float, float]]
    base: float


def _pairs(source: str, subjects: Iterable[Sequence[Claim]]) -> _Pairs:
    rank, scores, all_better = RANKS[kind_of(source)], [], []
    for given in subjects:
        better = [claim for claim in given if RANKS[kind_of(claim.source)] < rank]
        if not better:
            continue
        best = min(RANKS[kind_of(claim.source)] for claim in better)
        mean = _mean([claim.score for claim in better if RANKS[kind_of(claim.source)] == best])
        all_better.append(mean)
        own = [claim.score for claim in given if claim.source == source]
        if own:
            scores.append((_mean(own), mean))
    return _Pairs(scores, _mean(all_better))


def _weight(
    source: str,
    pairs: _Pairs,
    prior: Mapping[str, float],
    prior_pairs: float,
    least_agreement: Mapping[str, float],
) -> SourceWeight:
    kind, n = kind_of(source), len(pairs.scores)
    usual, least = prior[kind], least_agreement.get(kind)
    if not n:
        return SourceWeight(source, usual if least is None else 0.0, 0)
    agreement = _mean([1 - abs(own - better) for own, better in pairs.scores])
    chance = _mean([own * pairs.base + (1 - own) * (1 - pairs.base) for own, _ in pairs.scores])
    ci = wilson(agreement, n)
    if least is not None and ci[0] <= least:
        return SourceWeight(source, 0.0, n, agreement, chance, ci)
    # Where chance alone agrees with everything, there is nothing to tell a source by.
    known = 1 - chance
    beyond = min(max((agreement - chance) / known, 0.0), 1.0) if known > 1e-9 else usual
    weight = (n * beyond + prior_pairs * usual) / (n + prior_pairs)
    return SourceWeight(source, weight, n, agreement, chance, ci)


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values) if values else 0.0
