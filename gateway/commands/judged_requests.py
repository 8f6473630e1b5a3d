"""Recorded requests as a new version of a router would have decided them, beside the version that serves.

What a token costs, in P(correct), is what the served position of the dial means for this traffic: by the new version,
which was calibrated on it, but within a factor of what thinking was seen to bring for each of its tokens. A version can
therefore not make itself look better by its own price.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from gateway.assembly.served_versions import CANARY
from gateway.commands.observed import OK
from gateway.core.call import Call
from gateway.core.efforts import Effort
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.record import Record
from gateway.core.record_query import RatedRecord
from gateway.routing.catalogue import PublicModel
from gateway.routing.decider import nearest
from gateway.routing.experiments.state import Phase
from router_model.learning.observation import Observation
from router_model.learning.promotion import Trial
from router_model.model import kept_features
from router_model.model.kept_features import KeptFeatures

# The price is at most so many times what thinking brings for each token on average, or that fraction of it.
PRICE_FACTOR = 3.0
# Of fewer requests that were answered both ways nothing is said of what thinking brings.
LEAST_PAIRS = 30


class _Decided(NamedTuple):
    """What a version decides: the effort, whether a probe comes first, and its forecast of all efforts."""

    effort: Effort
    probes: bool
    forecast: Forecast
    price: float


class Decides(Protocol):
    """A router that is ready for an arm and forecasts what it has read before."""

    def reread(self, kept: KeptFeatures) -> Forecast | None: ...


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
    observations: Iterable[Observation],
    experiment: str,
    phases: Sequence[Phase],
) -> Trial:
    """Of records in the order of time, and what was observed of them. `phases` say what share the new version had of
    the experiment's units, when.
    """
    answers: dict[str, list[Observation]] = {}
    for one in observations:
        answers.setdefault(one.request, []).append(one)
    decided = [
        (record, old, new, answers.get(record.id, []))
        for record, _ in rated
        if record.status == OK
        and record.features
        and (kept := kept_features.load(record.features)) is not None
        and (old := decided_by(model, served, kept)) is not None
        and (new := decided_by(model, candidate, kept)) is not None
    ]
    price = _price([new.price for _, _, new, _ in decided], answers.values())
    return _stacked([_row(*one, price, experiment, phases) for one in decided])


def _price(of_candidate: Sequence[float], answers: Iterable[Sequence[Observation]]) -> float:
    """Of a token, in P(correct)."""
    price = float(np.median(of_candidate)) if of_candidate else 0.0
    both = [ends for one in answers if (ends := _ends(one)) is not None]
    if len(both) < LEAST_PAIRS:
        return price
    right = sum(think.right - none.right for none, think in both)
    tokens = sum(_tokens(think) - _tokens(none) for none, think in both)
    usual = right / tokens if tokens > 0 else 0.0
    return min(max(price, usual / PRICE_FACTOR), usual * PRICE_FACTOR) if usual > 0 else price


def _ends(answers: Sequence[Observation]) -> tuple[Observation, Observation] | None:
    """An answer without thinking and one with; None: there are not both."""
    none = next((one for one in answers if not one.think), None)
    think = next((one for one in answers if one.think), None)
    return None if none is None or think is None else (none, think)


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
    record: Record,
    old: _Decided,
    new: _Decided,
    answers: Sequence[Observation],
    price: float,
    experiment: str,
    phases: Sequence[Phase],
) -> _Row:
    # After a probe both decide again, by what it says.
    differs = (old.effort, old.probes) != (new.effort, new.probes) or old.probes
    assigned = -1
    if record.experiment == experiment:
        assigned = 1 if record.arm == CANARY else 0
    own = next((one for one in answers if not one.background), None) if assigned >= 0 else None
    return _Row(
        record.unit or record.id,
        differs,
        len(answers) > 1,
        _worth_of(answers, old.effort, price),
        _worth_of(answers, new.effort, price),
        assigned,
        _share(phases, record.time),
        math.nan if own is None else own.right - price * _tokens(own),
        (_forecast_worth(new, old.effort, price) + _forecast_worth(new, new.effort, price)) / 2,
    )


def _worth_of(answers: Sequence[Observation], effort: Effort, price: float) -> float:
    """The worth of an answer at this effort; any that thought stands for all that think. NaN: there is none."""
    budget = effort.budget if effort.think else None
    same = [one for one in answers if one.think == effort.think and one.budget == budget]
    alike = same or [one for one in answers if one.think == effort.think]
    if not alike:
        return math.nan
    return sum(one.right - price * _tokens(one) for one in alike) / len(alike)


def _tokens(one: Observation) -> float:
    """Of its answer, and of a probe that was thrown away before it; none where they are unknown."""
    discarded = math.expm1(one.probe[0]) if one.probe is not None and one.think else 0.0
    return (one.completion or 0.0) + discarded


def _forecast_worth(decided: _Decided, effort: Effort, price: float) -> float:
    one: EffortForecast = nearest(decided.forecast, effort)
    return one.p_correct - price * one.tokens


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
