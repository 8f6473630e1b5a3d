"""One arm beside another on one metric: the estimate, its interval, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from router_model.experiments.columns import Ints, UnitTable
from router_model.experiments.combined import CombinedDifference, NarrowerDifference
from router_model.experiments.design import Design
from router_model.experiments.difference import RunningDifference, Units
from router_model.experiments.mean import Bounds, RunningMean
from router_model.experiments.metrics import Metric

F64 = NDArray[np.float64]
Verdict = Literal["better", "worse", "undecided"]


class Difference(Protocol):
    """What `RunningDifference` has in common with those that pairs have a part in. `method` says which."""

    @property
    def method(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def estimate(self) -> float: ...
    def interval(self, alpha: float) -> Bounds: ...
    def one_sided(self, alpha: float, sign: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Pairs:
    """Requests that several arms answered: `unit` [pairs], `values` by metric and arm [pairs], NaN where unknown."""

    unit: Sequence[Any] = ()
    values: Mapping[str, Mapping[str, F64]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`found` is how far the mean of `arm` lies above that of the arm it is compared with, `level` the level of its
    interval, and `path` the same after fewer units. `beside`: what pairs say, and what units without a pair say, where
    there are pairs. `explained`: the share of the variance of units' scores that forecasts took out; None: none were.
    """

    metric: Metric
    arm: str
    found: Difference
    level: float
    beside: tuple[RunningMean, RunningDifference] | None = None
    path: tuple[Difference, ...] = ()
    explained: float | None = None

    @property
    def interval(self) -> Bounds:
        return self.found.interval(self.level)

    @property
    def verdict(self) -> Verdict:
        low, high = self.interval
        if low <= 0 <= high:
            return "undecided"
        return "better" if (low > 0) == (self.metric.sign > 0) else "worse"


class Breach(NamedTuple):
    """An arm that is to be stopped, and the guardrail that says so."""

    arm: str
    metric: str
    margin: float


def breached(found: Mapping[tuple[str, str], Difference], design: Design) -> list[Breach]:
    """The arms that are sure to be worse than a guardrail's margin, at any time; `found` by metric and arm."""
    breaches = []
    for guardrail in design.guardrails:
        sign = design.metric(guardrail.metric).sign
        for arm in design.others:
            best = sign * found[guardrail.metric, arm].one_sided(design.guardrail_level, sign)
            if best < -guardrail.margin:
                breaches.append(Breach(arm, guardrail.metric, guardrail.margin))
    return breaches


def compared(table: UnitTable, pairs: Pairs, design: Design, metric: Metric, arm: str, looks: int = 0) -> Comparison:
    """An arm beside `design.against`, by the pairs of the two and by the units of either that have none.

    `looks`: how many points of the path to keep. ValueError: a value is out of bounds.
    """
    found = paired_units(table, pairs, design, metric, arm)
    here = drawn_units(table, design, metric, arm)
    here = here[~np.isin(here, found.place)]
    units, at = units_at(table, design, metric, arm, here), np.sort(np.concatenate([found.place, here]))
    join = _joined(table, np.concatenate([found.place, here]), len(found.place))
    mean, apart, states, begin = RunningMean.of_differences(metric.bounds), RunningDifference(metric.bounds), [], (0, 0)
    for count in [*_looks(len(at), looks), len(at)]:
        last = at[count - 1] if count else -1
        end = int(np.searchsorted(found.place, last, "right")), int(np.searchsorted(here, last, "right"))
        mean = mean.extended(found.value[begin[0] : end[0]])
        apart = apart.extended(units.part(begin[1], end[1]))
        states.append(join(mean, apart))
        begin = end
    beside = (mean, apart) if mean.n else None
    level, removed = design.level_of(metric.name), explained(units, apart)
    return Comparison(metric, arm, states[-1], level, beside, tuple(states[:-1]), removed)


def explained(units: Units, found: RunningDifference) -> float | None:
    """How much wider the scores of these units would vary without forecasts, as a share of that variance."""
    if np.isnan(units.forecast).all():
        return None
    plain = RunningDifference.of(units._replace(forecast=np.full(len(units.value), np.nan)), found.bounds)
    return 1 - found.scaled.squares / plain.scaled.squares if plain.scaled.squares else None


Join = Callable[[RunningMean, RunningDifference], Difference]


def _joined(table: UnitTable, places: Ints, pairs: int) -> Join:
    """How what pairs say and what other units say become one: it depends on how units look, not on values."""
    if not pairs:
        return lambda mean, apart: apart
    single = bool((table.rows[places[places < len(table.rows)]] <= 1).all())
    return CombinedDifference if single else NarrowerDifference


class PairedUnits(NamedTuple):
    """Units with a pair of which both values are known, in the order in which the units came: `place` of the unit,
    `value` its mean difference [units].
    """

    place: Ints
    value: F64


def paired_units(table: UnitTable, pairs: Pairs, design: Design, metric: Metric, arm: str) -> PairedUnits:
    of_pairs = pairs.values.get(metric.name, {})
    if arm not in of_pairs or design.against not in of_pairs:
        return PairedUnits(np.zeros(0, np.int64), np.zeros(0))
    value = of_pairs[arm] - of_pairs[design.against]
    places = dict(table.place)
    place = np.array([places.setdefault(unit, len(places)) for unit in pairs.unit], np.int64)
    known = ~np.isnan(value)
    units, code = np.unique(place[known], return_inverse=True)
    return PairedUnits(units, np.bincount(code, weights=value[known]) / np.bincount(code) if len(units) else value[:0])


def drawn_units(table: UnitTable, design: Design, metric: Metric, arm: str) -> Ints:
    """The places of the units of an arm and of the one it is compared with, of which the metric is known.

    Only of phases in which both got units: of others, who is in which arm is no chance.
    """
    ours, theirs = design.arms.index(arm), design.arms.index(design.against)
    shares = np.array([design.share(arm, phase) for phase in range(len(design.phases))])
    drawn = ((shares > 0) & (shares < 1))[table.phase]
    here = ((table.arm == ours) | (table.arm == theirs)) & drawn & ~np.isnan(table.values[metric.name])
    return np.flatnonzero(here)


def units_of(table: UnitTable, design: Design, metric: Metric, arm: str) -> Units:
    """All of `drawn_units`."""
    return units_at(table, design, metric, arm, drawn_units(table, design, metric, arm))


def units_at(table: UnitTable, design: Design, metric: Metric, arm: str, here: Ints) -> Units:
    value = table.values[metric.name]
    shares = np.array([design.share(arm, phase) for phase in range(len(design.phases))])
    forecast = table.forecasts.get(metric.name, np.full(len(value), np.nan))
    in_arm = table.arm[here] == design.arms.index(arm)
    return Units(in_arm, shares[table.phase[here]], value[here], forecast[here])


def _looks(n: int, looks: int) -> list[int]:
    """Numbers of units below `n` at which the path is kept, evenly spread by their logarithm."""
    return sorted({int(at) for at in np.geomspace(10, n, looks, endpoint=False)}) if n > 10 and looks else []
