"""Recorded requests as a new version of a router would have decided them, beside the version that serves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from gateway.assembly.served_versions import CANARY
from gateway.commands.observed import OK, effort_of
from gateway.core.call import Call
from gateway.core.efforts import Effort
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.core.record_query import RatedRecord
from gateway.routing.catalogue import PublicModel
from gateway.routing.decider import nearest
from gateway.routing.experiments.state import Phase
from router_model.learning.observation import Judgement, combined
from router_model.learning.promotion import Trial
from router_model.learning.source_weights import SourceWeight
from router_model.model import kept_features
from router_model.model.kept_features import KeptFeatures

METRIC = "outcome"


class _Decided(NamedTuple):
    """What a version decides: the effort, whether a probe comes first, and its forecast of all efforts."""

    effort: Effort
    probes: bool
    forecast: Forecast
    price: float


class Decides(Protocol):
    """A router that is ready for an arm and forecasts what it has read before."""

    def reread(self, kept: KeptFeatures) -> Forecast | None: ...


class _Answered(NamedTuple):
    """An answer to a request with a known outcome."""

    effort: Effort
    right: float
    tokens: float


def decided_by(model: PublicModel, router: Decides, kept: KeptFeatures) -> _Decided | None:
    """None: the version cannot say anything of it."""
    forecast = router.reread(kept)
    if forecast is None:
        return None
    call = Call("judge", "chat", model.name, {"messages": [{"role": "user", "content": "?"}]})
    decision = model.policy.decide(call, forecast)
    return _Decided(decision.effort, decision.probe_options is not None, forecast, decision.prices.token)


def trial(
    model: PublicModel,
    served: Decides,
    candidate: Decides,
    rated: Iterable[RatedRecord],
    experiment: str,
    phases: Sequence[Phase],
    weights: Mapping[str, SourceWeight],
) -> Trial:
    """Of records in the order of time. `phases` say what share the new version had of the experiment's units, when."""
    first: dict[str, tuple[Record, KeptFeatures]] = {}
    answers: dict[str, list[_Answered]] = {}
    for record, outcomes in rated:
        kept = kept_features.load(record.features) if record.features else None
        if record.status != OK:
            continue
        if record.paired_with is None and kept is not None:
            first[record.id] = record, kept
        answer = _answered(record, outcomes, weights)
        if answer is not None:
            answers.setdefault(record.paired_with or record.id, []).append(answer)
    rows = [
        row
        for id, (record, kept) in first.items()
        if (row := _row(model, served, candidate, record, kept, answers.get(id, []), experiment, phases)) is not None
    ]
    return _stacked(rows)


class _Row(NamedTuple):
    unit: str
    differs: bool
    sampled: bool
    served: float
    candidate: float
    assigned: int
    share: float
    seen: float
    forecast: float


def _row(
    model: PublicModel,
    served: Decides,
    candidate: Decides,
    record: Record,
    kept: KeptFeatures,
    answers: Sequence[_Answered],
    experiment: str,
    phases: Sequence[Phase],
) -> _Row | None:
    old, new = decided_by(model, served, kept), decided_by(model, candidate, kept)
    if old is None or new is None:
        return None
    # After a probe both decide again, by what it says.
    differs = (old.effort, old.probes) != (new.effort, new.probes) or old.probes
    assigned = -1
    if record.experiment == experiment:
        assigned = 1 if record.arm == CANARY else 0
    own = next(iter(answers), None) if assigned >= 0 else None
    return _Row(
        record.unit or record.id,
        differs,
        len(answers) > 1,
        _worth_of(answers, old.effort, old.price),
        _worth_of(answers, new.effort, old.price),
        assigned,
        _share(phases, record.time),
        math.nan if own is None else own.right - old.price * own.tokens,
        (_forecast_worth(old, old.effort) + _forecast_worth(old, new.effort)) / 2,
    )


def _worth_of(answers: Sequence[_Answered], effort: Effort, price: float) -> float:
    """The worth of an answer at this effort; any that thought stands for all that think. NaN: there is none."""
    same = [one for one in answers if one.effort == effort]
    alike = same or [one for one in answers if one.effort.think == effort.think]
    if not alike:
        return math.nan
    return sum(one.right - price * one.tokens for one in alike) / len(alike)


def _forecast_worth(decided: _Decided, effort: Effort) -> float:
    one: EffortForecast = nearest(decided.forecast, effort)
    return one.p_correct - decided.price * one.tokens


def _answered(record: Record, outcomes: Iterable[OutcomeRow], weights: Mapping[str, SourceWeight]) -> _Answered | None:
    effort = effort_of(record.applied) or effort_of(record.decided)
    said = [Judgement(one.source, one.score, one.weight, one.time) for one in outcomes if one.metric == METRIC]
    right = combined(said, weights)
    if effort is None or right is None or record.completion_tokens is None:
        return None
    discarded = record.probe_tokens or 0 if record.probe == "thrown_away" else 0
    return _Answered(effort, right[0], float(record.completion_tokens + discarded))


def _share(phases: Sequence[Phase], time: float) -> float:
    """The new version's part of the units at a time."""
    found = 0.0
    for phase in phases:
        if phase.begin <= time:
            found = phase.weights.get(CANARY, 0.0) / sum(phase.weights.values())
    return found


def _stacked(rows: Sequence[_Row]) -> Trial:
    def column(name: str, kind: type) -> np.ndarray:
        return np.array([getattr(row, name) for row in rows], kind)

    return Trial(
        [row.unit for row in rows],
        column("differs", bool),
        column("sampled", bool),
        column("served", float),
        column("candidate", float),
        column("assigned", np.int64),
        column("share", float),
        column("seen", float),
        column("forecast", float),
    )
