"""What policies would have brought on logged traffic, as stable JSON, and the frontier of a dial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.offpolicy.estimators import ESTIMATORS, Estimate, Sample, interval
from router_model.offpolicy.floors import UNSEEN, effective_size, inconsistent, refusal
from router_model.offpolicy.log_columns import Prices
from router_model.offpolicy.logged import Logged
from router_model.offpolicy.target import METRICS, Judged, Modelled, Options, PricedTarget, Target

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


def replay(
    logged: Logged,
    targets: Mapping[str, Target],
    metrics: Sequence[str] = METRICS[:2],
    method: str = "dr",
    level: float = 0.05,
) -> dict[str, Any]:
    """Every policy by every metric: `policies`, with `name, metric, estimate, ci, ess, n, method, unseen, refused`.

    Rows count of which the metric is known. `ess`: of how many decisions of the policy itself the log is worth;
    `unseen`: how much of what the policy would do the log as good as never shows; `refused`: why there is no estimate,
    else None. `on_policy`: what the log's own policy brought. `method` is one of `ESTIMATORS`, `level` that of the
    intervals, each by itself. ValueError: an unknown method or metric, or a level that is not within 0 and 1.
    """
    if method not in ESTIMATORS:
        raise ValueError(f"there is no estimator {method!r}; there are {', '.join(ESTIMATORS)}")
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown or not 0 < level < 1:
        raise ValueError(
            f"cannot estimate {', '.join(unknown)}" if unknown else f"a level lies between 0 and 1: {level}"
        )
    unit = _codes(logged)
    policies = [
        {"name": name, "metric": metric} | _estimated(logged, judged, metric, method, level, unit)
        for name, target in targets.items()
        for judged in (target.judge(logged),)
        for metric in metrics
    ]
    known = ~np.isnan(logged.outcome)
    own = interval(logged.outcome[known], _dense(unit[known]), level, int(known.sum())) if known.any() else None
    on_policy = {"mean": own and own.mean, "ci": own and _bounds(own), "n": int(known.sum())}
    return {"policies": policies, "on_policy": on_policy}


def dials(
    logged: Logged, positions: Sequence[float], price_at: Callable[[float], float | F64]
) -> dict[str, PricedTarget]:
    """The served rule at positions of the dial, `dial-0.4` and the like: targets of a what-if frontier.

    `price_at`: the base token price of a position, or one for each row; seconds cost what they did.
    """
    n, second = len(logged), logged.prices.second
    return {f"dial-{at:g}": PricedTarget(Prices.of(n, price_at(at), second)) for at in positions}


def _estimated(logged: Logged, judged: Judged, metric: str, method: str, level: float, unit: Ints) -> dict[str, Any]:
    seen = {"outcome": logged.outcome, "total_tokens": logged.tokens, "latency_s": logged.seconds}[metric]
    known = ~np.isnan(seen)
    weight = (judged.probability / logged.propensity)[known]
    options = Options._make(table[known] for table in judged.options)
    unseen = float(options.beyond(UNSEEN).mean()) if len(weight) else 0.0
    wrong = inconsistent(logged.propensity, logged.of_path(logged.own_masses))
    refused = wrong or refusal(weight, logged.propensity[known], unseen)
    told: dict[str, Any] = {"estimate": None, "ci": None, "ess": effective_size(weight), "n": len(weight)}
    told |= {"unseen": unseen}
    if refused is None:
        modelled = Modelled._make(column[known] for column in judged.modelled[metric])
        estimate = ESTIMATORS[method](Sample(weight, seen[known], modelled, _dense(unit[known]), options), level)
        told |= {"estimate": estimate.mean, "ci": _bounds(estimate)}
    return told | {"method": method, "refused": refused}


def _codes(logged: Logged) -> Ints:
    """A number for the unit of each row; each row is its own where no units are known."""
    if logged.unit is None:
        return np.arange(len(logged))
    codes: dict[Any, int] = {}
    return np.array([codes.setdefault(one, len(codes)) for one in logged.unit], np.int64)


def _dense(codes: Ints) -> Ints:
    """The same units numbered from 0 without gaps."""
    numbers: Ints = np.unique(codes, return_inverse=True)[1]
    return numbers


def _bounds(estimate: Estimate) -> list[float] | None:
    return [estimate.low, estimate.high] if isfinite(estimate.low) and isfinite(estimate.high) else None
