"""One arm beside another on one metric: the estimate, its interval, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from router_model.experiments.columns import UnitTable
from router_model.experiments.design import Design
from router_model.experiments.difference import RunningDifference, Units
from router_model.experiments.mean import Bounds, RunningMean
from router_model.experiments.metrics import Metric

F64 = NDArray[np.float64]
Verdict = Literal["better", "worse", "undecided"]


class Difference(Protocol):
    """What `RunningDifference` and, of pairs, `RunningMean` have in common."""

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
    interval, and `path` the same after fewer units.
    """

    metric: Metric
    arm: str
    found: Difference
    level: float
    paired: bool
    path: tuple[Difference, ...] = ()

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
    """An arm beside `design.against`: by pairs, if the metric has any, else by the units of the two arms.

    `looks`: how many points of the path to keep. ValueError: a value is out of bounds.
    """
    of_pairs = pairs.values.get(metric.name, {})
    if arm in of_pairs and design.against in of_pairs:
        values = differences(pairs.unit, of_pairs[arm] - of_pairs[design.against])
        start = RunningMean.of_differences(metric.bounds)
        path = tuple(start.extended(values[:n]) for n in _looks(len(values), looks))
        return Comparison(metric, arm, start.extended(values), design.level_of(metric.name), True, path)
    units = units_of(table, design, metric, arm)
    ends, states = [*_looks(len(units.value), looks), len(units.value)], [RunningDifference(metric.bounds)]
    for begin, end in zip([0, *ends], ends, strict=False):
        states.append(states[-1].extended(units.part(begin, end)))
    return Comparison(metric, arm, states[-1], design.level_of(metric.name), False, tuple(states[1:-1]))


def units_of(table: UnitTable, design: Design, metric: Metric, arm: str) -> Units:
    """The units of an arm and of the one it is compared with, of which the metric is known.

    Only of phases in which both got units: of others, who is in which arm is no chance.
    """
    ours, theirs = design.arms.index(arm), design.arms.index(design.against)
    value = table.values[metric.name]
    shares = np.array([design.share(arm, phase) for phase in range(len(design.phases))])
    drawn = ((shares > 0) & (shares < 1))[table.phase]
    here = ((table.arm == ours) | (table.arm == theirs)) & drawn & ~np.isnan(value)
    forecast = table.forecasts.get(metric.name, np.full(len(value), np.nan))
    return Units(table.arm[here] == ours, shares[table.phase[here]], value[here], forecast[here])


def differences(unit: Sequence[Any], values: F64) -> F64:
    """The mean difference of each unit with a known one, in the order of the units' first pairs."""
    known = ~np.isnan(values)
    codes: dict[Any, int] = {}
    code = np.array([codes.setdefault(one, len(codes)) for one, yes in zip(unit, known, strict=True) if yes], np.int64)
    means: F64 = np.bincount(code, weights=values[known]) / np.bincount(code) if len(code) else np.zeros(0)
    return means


def _looks(n: int, looks: int) -> list[int]:
    """Numbers of units below `n` at which the path is kept, evenly spread by their logarithm."""
    return sorted({int(at) for at in np.geomspace(10, n, looks, endpoint=False)}) if n > 10 and looks else []
