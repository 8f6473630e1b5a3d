"""Whether a new version of a router is better than the one that serves: two estimates, each valid at any time.

What is compared is the worth of a decision: the outcome, less what its tokens cost at the price that is served. Where
both versions decide alike there is no difference, which is most of the time, so that little traffic tells much.

The paired estimate rests on requests that were answered at both ends of the ladder, a random sample of all. The canary
estimate rests on the units that were shared out between the versions by chance: each outcome counts by the inverse of
its probability, less what was forecast of it, as in "Doubly Robust Policy Evaluation and Learning" (Dudík, Langford,
Li, 2011, ICML, arXiv:1103.4601). Bounds hold at all times at once (`router_model.experiments.asymptotic`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_model.experiments.mean import RunningMean

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
# Of fewer units nothing is said.
LEAST_UNITS = 50


class Trial(NamedTuple):
    """Requests since the new version was made, in the order of time, [rows] each.

    `unit` names what was assigned; `differs`: the versions decide differently. `served`, `candidate`: the worth of what
    each would decide, where both are known (NaN), and `sampled` whether the request was drawn for that. `assigned`: 1
    where the new version decided, 0 where the served one did by chance, -1 where nothing was left to chance, and
    `share` the new version's part of the units then; `seen` the worth of what was done (NaN: unknown), `forecast` what
    was forecast of it.
    """

    unit: Sequence[str]
    differs: Bools
    sampled: Bools
    served: F64
    candidate: F64
    assigned: NDArray[np.int64]
    share: F64
    seen: F64
    forecast: F64


class Evidence(NamedTuple):
    """The mean difference in worth of the new version, with bounds that hold one by one; None: too little is known."""

    method: str
    units: int
    estimate: float | None
    low: float | None
    high: float | None

    def as_json(self) -> dict[str, Any]:
        return self._asdict()


def evidence(trial: Trial, level: float) -> list[Evidence]:
    """Both estimates. `level`: how sure bounds are to hold, both methods together."""
    alpha = (1 - level) / 2
    return [
        _estimated("pairs", trial.unit, _paired(trial), alpha),
        _estimated("canary", trial.unit, _of_canary(trial), alpha),
    ]


def is_better(found: Sequence[Evidence]) -> bool:
    """One estimate is surely above 0, and none is surely below."""
    return any(one.low is not None and one.low > 0 for one in found) and not is_worse(found)


def is_worse(found: Sequence[Evidence]) -> bool:
    return any(one.high is not None and one.high < 0 for one in found)


def _paired(trial: Trial) -> F64:
    """The difference of each request [rows]; NaN: it is unknown."""
    found = np.where(trial.differs, trial.candidate - trial.served, 0.0)
    return np.where(trial.sampled, found, np.nan)


def _of_canary(trial: Trial) -> F64:
    rest = trial.seen - trial.forecast
    chosen, share = trial.assigned == 1, np.clip(trial.share, 1e-6, 1 - 1e-6)
    found = np.where(chosen, rest / share, -rest / (1 - share))
    found = np.where(trial.differs, found, np.where(np.isnan(trial.seen), np.nan, 0.0))
    return np.where(trial.assigned >= 0, found, np.nan)


def _estimated(method: str, unit: Sequence[str], difference: F64, alpha: float) -> Evidence:
    values = _by_unit(unit, difference)
    if len(values) < LEAST_UNITS:
        return Evidence(method, len(values), None, None, None)
    sums = RunningMean.empty(None).extended(values)
    return Evidence(method, len(values), sums.estimate, sums.one_sided(alpha, -1), sums.one_sided(alpha, 1))


def _by_unit(unit: Sequence[str], difference: F64) -> F64:
    """The mean of each unit's requests: those of a conversation are alike."""
    known = np.flatnonzero(~np.isnan(difference))
    codes: dict[str, int] = {}
    of = np.array([codes.setdefault(unit[i], len(codes)) for i in known.tolist()], np.int64)
    if not len(of):
        return np.zeros(0)
    return np.asarray(np.bincount(of, difference[known]) / np.bincount(of))
