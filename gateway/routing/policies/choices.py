"""What a policy that buys at a price may decide for one request: a probe first, or one of some efforts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import fsum

from gateway.core.efforts import Effort
from gateway.core.forecast import ANY_FACTOR, EffortForecast, Intervals
from gateway.core.prices import Prices
from gateway.core.probe import ProbeValue
from gateway.routing.policies import price_intervals
from gateway.routing.policies.price_intervals import Axis
from gateway.routing.policies.worth import best, cost, worth


@dataclass(frozen=True, slots=True)
class Choices:
    """`efforts` can be chosen at once. `none` is the effort that a probe answers with, and `value` says when asking for
    one pays; None: no probe is possible. `asks`: whether to, at any price; None: where it pays.
    """

    efforts: Sequence[EffortForecast]
    none: EffortForecast | None = None
    value: ProbeValue | None = None
    asks: bool | None = None

    def at(self, prices: Prices) -> tuple[EffortForecast, bool]:
        """What is decided at these prices: an effort, and whether a probe comes first."""
        if self.none is not None and self.asks:
            return self.none, True
        direct = best(self.efforts, prices)
        if self.none is None or self.value is None or self.asks is False:
            return direct, False
        pays = self.value.pays(worth(direct, prices), cost(self.none, prices))
        return (self.none, True) if pays else (direct, False)

    def leading_to(self, effort: Effort, probes: bool, axis: Axis) -> Intervals:
        """The prices at which that is decided."""
        probed = self._probing(axis)
        if probes:
            return probed
        return price_intervals.both(
            price_intervals.neither(probed), price_intervals.choosing(effort, self.efforts, axis)
        )

    def within(self, loss: float, prices: Prices) -> Choices:
        """Only those that are worth at most so much less than the best one at these prices."""
        worths = [worth(one, prices) for one in self.efforts]
        asking = self._worth_of_asking(max(worths), prices)
        if self.asks or asking is None:
            least = max(worths) - loss
            return replace(self, efforts=[one for one, its in zip(self.efforts, worths, strict=True) if its >= least])
        least = max(asking, *worths) - loss
        near = [one for one, its in zip(self.efforts, worths, strict=True) if its >= least]
        if not near:
            return replace(self, asks=True)
        return replace(self, efforts=near, asks=None if asking >= least else False)

    def _probing(self, axis: Axis) -> Intervals:
        if self.none is None or self.value is None or self.asks is False:
            return ()
        return ANY_FACTOR if self.asks else price_intervals.probing(self.none, self.efforts, self.value, axis)

    def _worth_of_asking(self, direct: float, prices: Prices) -> float | None:
        """Of a probe, and then of the better of its answer and the best of what can be chosen at once."""
        if self.none is None or self.value is None:
            return None
        outcomes = self.value.outcomes
        return fsum(max(outcome, direct) for outcome in outcomes) / len(outcomes) - cost(self.none, prices)
