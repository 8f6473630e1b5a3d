"""One difference from pairs and from units that have none.

Units that were drawn for a pair, by chance, score the difference by their two answers; all others score it by their
one answer (`difference`). Either score is right on average given all that came before, so the two capitals against a
value of the difference (`mixture`) multiply to one that is a nonnegative supermartingale, too: each of its steps is a
step of one of them. The product weighs the two kinds of evidence by how much they say, as a likelihood would, and
holds at any time. Without bounds the two estimates are weighted by their precision (`asymptotic`).
"""

from __future__ import annotations

from dataclasses import dataclass

from router_model.experiments import asymptotic, mixture
from router_model.experiments.asymptotic import ScaledSums
from router_model.experiments.difference import RunningDifference
from router_model.experiments.mean import Bounds, RunningMean

# At this level it is decided which of two intervals is the narrower one.
USUAL_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class CombinedDifference:
    """`paired` and `apart` are about different units, and estimate the same: each unit counts once, in one of them."""

    paired: RunningMean
    apart: RunningDifference

    @property
    def method(self) -> str:
        return "combined" if self.apart.n else "paired"

    @property
    def n(self) -> int:
        return self.paired.n + self.apart.n

    @property
    def estimate(self) -> float:
        prior = 0.0 if self.paired.bounds is None else (self.paired.bounds[1] / 2) ** 2
        weights = [_precision(sums, prior) for sums in (self.paired.scaled, self.apart.scaled)]
        total = sum(weights)
        return (self.paired.estimate * weights[0] + self.apart.estimate * weights[1]) / total if total else 0.0

    def interval(self, alpha: float) -> Bounds:
        if self.paired.bounds is None:
            half = self._radius(alpha)
            return self._centre - half, self._centre + half
        low, high = self.paired.bounds
        capitals = [self.paired.capital, self.apart.capital]
        return mixture.lower_of(capitals, low, high, alpha / 2), mixture.upper_of(capitals, low, high, alpha / 2)

    def one_sided(self, alpha: float, sign: float) -> float:
        if self.paired.bounds is None:
            return self._centre + sign * self._radius(min(2 * alpha, 0.999))
        bound = mixture.lower_of if sign < 0 else mixture.upper_of
        return bound([self.paired.capital, self.apart.capital], *self.paired.bounds, alpha)

    @property
    def _sums(self) -> tuple[ScaledSums, ScaledSums]:
        """Of each that has values enough to say how much they vary; the one that says more comes first."""
        paired = self.paired.scaled if self.paired.n >= asymptotic.LEAST_VALUES else ScaledSums()
        first, second = sorted((paired, self.apart.enough), key=_precision, reverse=True)
        return first, second

    @property
    def _centre(self) -> float:
        first, second = self._sums
        weights = _precision(first), _precision(second)
        return (first.mean * weights[0] + second.mean * weights[1]) / sum(weights) if sum(weights) else 0.0

    def _radius(self, alpha: float) -> float:
        """As of so many values of the kind that says more as say what both say together."""
        first, second = self._sums
        if not first.n:
            return asymptotic.radius(0, 0.0, alpha)
        n = first.n * (1 + _precision(second) / _precision(first))
        return asymptotic.radius(round(n), first.deviation(), alpha)


@dataclass(frozen=True, slots=True)
class NarrowerDifference:
    """Where `paired` and `apart` do not estimate quite the same: in conversations of several turns, of which units
    count the whole, and pairs a turn. Each has half of the level, so both hold, and the narrower one is shown.
    """

    paired: RunningMean
    apart: RunningDifference

    @property
    def method(self) -> str:
        return "paired" if self._by_pairs else "units"

    @property
    def n(self) -> int:
        return self._chosen.n

    @property
    def estimate(self) -> float:
        return self._chosen.estimate

    def interval(self, alpha: float) -> Bounds:
        return self._chosen.interval(alpha / 2)

    def one_sided(self, alpha: float, sign: float) -> float:
        """The bound that says more: an arm that is surely worse by either is worse."""
        bounds = self.paired.one_sided(alpha / 2, sign), self.apart.one_sided(alpha / 2, sign)
        return min(bounds) if sign > 0 else max(bounds)

    @property
    def _by_pairs(self) -> bool:
        paired, apart = (low - high for low, high in (one.interval(USUAL_LEVEL) for one in (self.paired, self.apart)))
        return paired >= apart

    @property
    def _chosen(self) -> RunningMean | RunningDifference:
        return self.paired if self._by_pairs else self.apart


def _precision(sums: ScaledSums, prior: float = 0.0) -> float:
    """One over the variance of the mean; `prior` is added to the squares of values."""
    return sums.n**2 / max(sums.squares + prior, 1e-12) if sums.n else 0.0
