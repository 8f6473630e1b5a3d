"""Requests that several arms have answered, out of the records of all of these answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from gateway.config.experiment import Metric
from gateway.core.experiment_row import ExperimentRow
from gateway.routing.experiments.measures import HUNG_UP, MEASURES
from router_model.experiments.comparison import Pairs

F64 = NDArray[np.float64]


def pairs_of(
    clients: Sequence[ExperimentRow],
    others: Iterable[ExperimentRow],
    arms: Sequence[str],
    metrics: Sequence[Metric],
) -> Pairs:
    """`clients` are what clients sent, `others` the answers of other arms. One that was cut short says nothing."""
    first = {row.id: row for row in clients}
    by_request: dict[str, list[ExperimentRow]] = {}
    for row in others:
        if row.paired_with in first:
            by_request.setdefault(row.paired_with or "", []).append(row)
    drawn = [id for id in first if id in by_request]
    values: dict[str, dict[str, F64]] = {name: {arm: np.full(len(drawn), np.nan) for arm in arms} for name in metrics}
    for place, id in enumerate(drawn):
        for row in chain((first[id],), by_request[id]):
            if row.status != HUNG_UP and row.arm in arms:
                for name in metrics:
                    values[name][row.arm or ""][place] = MEASURES[name](row)
    return Pairs([first[id].unit for id in drawn], values)
