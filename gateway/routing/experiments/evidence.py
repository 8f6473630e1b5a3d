"""What the records say about an experiment, as `router_model.experiments` wants it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.config.experiment import Metric
from gateway.core.experiment_row import ExperimentRow
from gateway.routing.experiments.covariates import covariates
from gateway.routing.experiments.experiment import Experiment
from gateway.routing.experiments.measures import MEASURES
from gateway.routing.experiments.pairs import pairs_of
from gateway.routing.experiments.state import Event, Phase, phases_of
from router_model.experiments.columns import Columns
from router_model.experiments.comparison import Pairs
from router_model.experiments.design import Design, Guardrail
from router_model.experiments.metrics import METRICS
from router_model.experiments.report import report

# So long after a change of weights, in seconds, some workers may still use the old ones: whom they assign is left out.
SETTLING_S = 1.0
# How many points the path of a difference has.
LOOKS = 40
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


class ExperimentEvidence(NamedTuple):
    design: Design
    columns: Columns
    pairs: Pairs = Pairs()

    def report(self, name: str, looks: int = 0) -> dict[str, Any]:
        """As `router_model.experiments.report` has it: stable JSON."""
        return report(name, self.design, self.columns, self.pairs, looks)


def evidence(experiment: Experiment, events: Sequence[Event], rows: Iterable[ExperimentRow]) -> ExperimentEvidence:
    """`rows` in the order of time."""
    phases = _distinct(phases_of(experiment, events))
    design, metrics, others = _design(experiment, phases), measured(experiment), list[ExperimentRow]()
    kept = [*_kept(_sent(rows, others), design.arms, [phase.begin for phase in phases[1:]])]
    values: dict[str, F64] = {name: np.fromiter(map(MEASURES[name], kept), np.float64, len(kept)) for name in metrics}
    begins = [phase.begin for phase in phases]
    phase: I64 = np.searchsorted(begins, [row.time for row in kept], side="right").astype(np.int64) - 1
    forecasts = covariates(kept, metrics)
    columns = Columns([row.unit for row in kept], [row.arm or "" for row in kept], values, forecasts, phase)
    return ExperimentEvidence(design, columns, pairs_of(kept, others, design.arms, metrics))


def measured(experiment: Experiment) -> tuple[Metric, ...]:
    """What is reported, and what its guardrails and its stop rule need; the primary metric is the first."""
    given = experiment.settings
    primary = given.metrics[0] if given.stop is None else given.stop.metric
    return tuple(dict.fromkeys((primary, *given.metrics, *given.guardrails)))


def _design(experiment: Experiment, phases: Sequence[Phase]) -> Design:
    given, metrics = experiment.settings, measured(experiment)
    names = [arm.name for arm in experiment.arms]
    return Design(
        phases=tuple({name: phase.weights.get(name, 0.0) for name in names} for phase in phases),
        against=experiment.default,
        metrics=tuple(METRICS[name] for name in metrics),
        primary=metrics[0],
        level=1 - given.level,
        guardrails=tuple(Guardrail(name, margin) for name, margin in given.guardrails.items()),
        stop_width=None if given.stop is None else given.stop.width,
    )


def _sent(rows: Iterable[ExperimentRow], others: list[ExperimentRow]) -> Iterator[ExperimentRow]:
    """What clients sent; what other arms answered goes to `others`."""
    for row in rows:
        if row.paired_with is None:
            yield row
        else:
            others.append(row)


def _distinct(phases: Iterable[Phase]) -> list[Phase]:
    """Without those that change no share."""
    found: list[Phase] = []
    for phase in phases:
        if not found or phase.weights != found[-1].weights:
            found.append(phase)
    return found


def _kept(rows: Iterable[ExperimentRow], arms: Sequence[str], changes: Sequence[float]) -> Iterator[ExperimentRow]:
    """Requests of arms that are there, without units that came when weights had just changed."""
    times, unsettled, known = np.array(changes), set[str | None](), set[str | None]()
    for row in rows:
        if row.unit not in known:
            known.add(row.unit)
            before = np.searchsorted(times, row.time, side="right")
            if before and row.time < times[before - 1] + SETTLING_S:
                unsettled.add(row.unit)
        if row.unit not in unsettled and row.arm in arms:
            yield row
