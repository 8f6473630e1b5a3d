"""From rows of requests to one value per unit, in the order in which units came.

A conversation's requests are not independent, and a conversation is what is assigned, so it is also what counts: once,
with the mean of its requests. (Cluster-robust variances would do for one look, but no sequence of looks; means of units
keep every bound exact, and no long conversation outweighs many short ones.)
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Settled requests in the order of time.

    `unit` and `arm` [requests]; `values` of metrics, by name, [requests], NaN where unknown; `forecasts` of the same
    metrics, made before the request was assigned, NaN where there is none; `phase` [requests]: which of the design's
    weights held when the unit was assigned (left out: the first).
    """

    unit: Sequence[Hashable]
    arm: Sequence[str]
    values: Mapping[str, F64]
    forecasts: Mapping[str, F64] = field(default_factory=dict)
    phase: Ints | None = None

    def __post_init__(self) -> None:
        n = len(self.unit)
        lengths = [len(self.arm), *map(len, self.values.values()), *map(len, self.forecasts.values())]
        if any(length != n for length in [*lengths, n if self.phase is None else len(self.phase)]):
            raise ValueError("the columns of an experiment differ in length")
        if not self.forecasts.keys() <= self.values.keys():
            raise ValueError("a forecast belongs to a metric that has values")


@dataclass(frozen=True, slots=True)
class UnitTable:
    """Units in the order of their first request: `arm` (place among the arms) and `phase` [units].

    `values` of metrics [units] are means over the unit's requests of which they are known, else NaN; `forecasts` are
    those of its first request, because what follows depends on the arm already, and would hide its effect. `place` is
    that of each unit, and `rows` are its requests [units]. `requests` [arms] that count; `switched`: requests of units
    under another arm than their first, which do not.
    """

    arm: Ints
    phase: Ints
    values: Mapping[str, F64]
    forecasts: Mapping[str, F64]
    requests: Ints
    switched: int
    place: Mapping[Hashable, int]
    rows: Ints


def by_unit(columns: Columns, arms: Sequence[str]) -> UnitTable:
    """Every unit once. ValueError: an arm that is not among these."""
    places = {arm: place for place, arm in enumerate(arms)}
    unknown = set(columns.arm) - places.keys()
    if unknown:
        raise ValueError(f"rows name arms that the experiment does not have: {', '.join(sorted(unknown))}")
    codes: dict[Hashable, int] = {}
    unit = np.fromiter((codes.setdefault(one, len(codes)) for one in columns.unit), np.int64, len(columns.unit))
    of_request = np.fromiter((places[one] for one in columns.arm), np.int64, len(columns.arm))
    first = np.full(len(codes), len(unit), np.int64)
    np.minimum.at(first, unit, np.arange(len(unit)))
    arm = of_request[first]
    counts = of_request == arm[unit]

    return UnitTable(
        arm,
        np.zeros(len(codes), np.int64) if columns.phase is None else np.asarray(columns.phase, np.int64)[first],
        {name: _mean(column, unit, counts, len(codes)) for name, column in columns.values.items()},
        {name: np.asarray(column, np.float64)[first] for name, column in columns.forecasts.items()},
        np.bincount(of_request[counts], minlength=len(arms)),
        int((~counts).sum()),
        codes,
        np.bincount(unit, minlength=len(codes)),
    )


def _mean(column: F64, unit: Ints, counts: NDArray[np.bool_], units: int) -> F64:
    """Over the requests of each unit that count and are known; NaN where there are none."""
    known = counts & ~np.isnan(column)
    n = np.bincount(unit[known], minlength=units)
    total = np.bincount(unit[known], weights=column[known], minlength=units)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)
