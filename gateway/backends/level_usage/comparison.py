"""Whether one effort takes more tokens than another, over requests that are alike by their forecast.

The mean of log(1 + tokens) is compared within strata, each weighed by n m / (n + m), with the asymptotic confidence
sequence of Waudby-Smith et al. (2024, doi:10.1214/24-AOS2408): its bounds hold at every look at once, so that they may
be looked at after every answer.
"""

from __future__ import annotations

from math import inf, sqrt
from typing import NamedTuple

from gateway.backends.level_usage.sample import Alike, LevelSample, Stratum
from router_model.experiments import asymptotic

# The chance that a bound is ever wrong: there are many pairs of levels.
ALPHA = 0.001
# Strata with fewer answers of either effort are left out.
LEAST_ALIKE = 10
# With more answers cut at a limit than this share, nobody knows how long they would have been.
MOST_CUT = 0.05


class Comparison(NamedTuple):
    """By how much log(1 + tokens) of the stronger effort exceeds that of the weaker: bounds, and the largest difference
    of a stratum that has many answers. Infinite where too little is known.
    """

    lower: float = -inf
    upper: float = inf
    largest: float = inf


UNKNOWN = Comparison()


def compare(weaker: LevelSample, stronger: LevelSample) -> Comparison:
    if any(one.cut > MOST_CUT * one.n for one in (weaker, stronger)):
        return UNKNOWN
    pairs = [_pair(alike, stronger.strata.get(stratum)) for stratum, alike in weaker.strata.items()]
    known = [pair for pair in pairs if pair is not None]
    weight = sum(pair.weight for pair in known)
    if weight < asymptotic.LEAST_VALUES:
        return UNKNOWN
    mean = sum(pair.weight * pair.difference for pair in known) / weight
    variance = sum((pair.weight / weight) ** 2 * pair.variance for pair in known)
    # As many independent differences as have this variance together.
    half = asymptotic.radius(int(weight), sqrt(variance * weight), min(2 * ALPHA, 0.999))
    largest = max((pair.difference for pair in known if pair.weight >= asymptotic.LEAST_VALUES / 2), default=mean)
    return Comparison(mean - half, mean + half, largest)


class _Pair(NamedTuple):
    """The difference in one stratum, its variance, and n m / (n + m)."""

    difference: float
    variance: float
    weight: float


def _pair(weaker: Alike, stronger: Alike | None) -> _Pair | None:
    if stronger is None or min(weaker.n, stronger.n) < LEAST_ALIKE:
        return None
    variance = sum(one.logs.deviation() ** 2 / one.n for one in (weaker, stronger))
    return _Pair(stronger.logs.mean - weaker.logs.mean, variance, weaker.n * stronger.n / (weaker.n + stronger.n))


def is_measured(sample: LevelSample, stratum: Stratum) -> bool:
    """Whether enough of its answers are in a stratum to say what such a request takes."""
    found = sample.strata.get(stratum)
    return found is not None and found.n >= LEAST_ALIKE
