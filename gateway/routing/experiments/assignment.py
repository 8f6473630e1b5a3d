"""Which arm a unit belongs to. Pure: a unit lands in the same arm on every worker and after a restart.

Weighted rendezvous hashing: every arm draws a score from the unit's hash, and the highest wins. When one arm's weight
changes, units only move to it or away from it; when an arm stops, only its own units move.
(Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking 6(1),
1998; with weights: Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005,
doi:10.1145/1073970.1074008.)
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log

from gateway.core.arm import Arm
from gateway.core.draw import uniform

# How much of all units each arm gets, in any unit of measure; above 0.
Weights = Mapping[Arm, float]
# Units by which it is estimated how many of them move.
SAMPLE = 2000


def position(unit: str, salt: str, arm: str) -> float:
    """The place of a unit in (0,1) as an arm sees it: a 53-bit hash, salted so that experiments are independent."""
    return uniform(f"{salt}\0{arm}\0{unit}")


def score(unit: str, salt: str, arm: str, weight: float) -> float:
    """What an arm of this weight bids for a unit; below 0. The highest one gets it."""
    return log(position(unit, salt, arm)) / weight


def assign(unit: str, salt: str, weights: Weights) -> Arm:
    """The arm of a unit; free when there is only one.

    -ln(u) / w is exponentially distributed with rate w, and the least of such variables is that of an arm with
    probability w / (sum of all w): each arm gets units in proportion to its weight.
    """
    if len(weights) == 1:
        return next(iter(weights))
    return max(weights, key=lambda arm: score(unit, salt, arm.name, weights[arm]))


def moved_share(salt: str, before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """How many of all units change their arm, estimated from a sample, when these weights follow those."""

    def arm_of(unit: str, weights: Mapping[str, float]) -> str:
        return max(weights, key=lambda arm: score(unit, salt, arm, weights[arm]))

    units = [str(number) for number in range(SAMPLE)]
    return sum(arm_of(unit, before) != arm_of(unit, after) for unit in units) / SAMPLE
