"""The report of an experiment: arms, differences, sample ratio, guardrails and a verdict, as stable JSON."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from router_model.experiments import sample_ratio
from router_model.experiments.columns import Columns, UnitTable, by_unit
from router_model.experiments.comparison import Comparison, Difference, Pairs, breached, compared
from router_model.experiments.design import Design
from router_model.experiments.mean import Bounds, RunningMean
from router_model.experiments.metrics import Metric
from router_model.experiments.verdict import sentence

# Below this sample ratio p the arms are not comparable, whatever their differences.
SRM_ALARM = 0.001
_NO_PAIRS = Pairs()


def report(name: str, design: Design, columns: Columns, pairs: Pairs = _NO_PAIRS, looks: int = 0) -> dict[str, Any]:
    """What an experiment has shown so far.

    `arms`: mean and interval of each metric, at `design.level` each, over units; `differences` with intervals that hold
    together at all times (`Design`), null where there are too few units for one; `srm_p` for one look and
    `srm_p_always`; `known_p` by metric: of its being known of the same share of units in every arm; `guardrails` that
    are breached; `stop`: whether enough was seen; `verdicts` in plain words; with `looks` the path of every difference.
    ValueError: a metric without values or out of bounds, or an unknown arm.
    """
    missing = {metric.name for metric in design.metrics} - columns.values.keys()
    if missing:
        raise ValueError(f"no values of {', '.join(sorted(missing))}")
    table = by_unit(columns, design.arms)
    found = [compared(table, pairs, design, metric, arm, looks) for metric in design.metrics for arm in design.others]
    phases = [_phase(table, design, phase) for phase in range(len(design.phases))]
    always_p = sample_ratio.always_valid_p(phases)
    return {
        "experiment": name,
        "arms": [_arm(table, design, arm) for arm in design.arms],
        "differences": [_difference(one, table, design) for one in found],
        "srm_p": sample_ratio.chi_squared_p(phases),
        "srm_p_always": always_p,
        "known_p": {metric.name: _known_p(table, design, metric.name) for metric in design.metrics},
        "level": design.level,
        "requests_switched": table.switched,
        "guardrails": _breached(found, design),
        "stop": _stop(found, design),
        "verdicts": _verdicts(found, table, design, always_p),
    }


def _phase(table: UnitTable, design: Design, phase: int) -> tuple[list[int], list[float]]:
    """Units that were assigned in this phase to each arm that got any then, and the weights of these arms."""
    counts: list[int] = np.bincount(table.arm[table.phase == phase], minlength=len(design.arms)).tolist()
    drawn = [(count, weight) for count, weight in zip(counts, design.phases[phase].values(), strict=True) if weight]
    return [count for count, _ in drawn], [weight for _, weight in drawn]


def _known_p(table: UnitTable, design: Design, metric: str) -> float:
    """The p of a metric being known of the same share of units in every arm."""
    known = ~np.isnan(table.values[metric])
    units = np.bincount(table.arm, minlength=len(design.arms))
    share = float(known.mean()) if len(known) else 1.0
    if share in (0.0, 1.0):
        return 1.0
    off = np.bincount(table.arm[known], minlength=len(design.arms)) - units * share
    statistic = float((off[units > 0] ** 2 / (units[units > 0] * share * (1 - share))).sum())
    return sample_ratio.chi_squared_tail(statistic, int((units > 0).sum()) - 1)


def _arm(table: UnitTable, design: Design, arm: str) -> dict[str, Any]:
    place = design.arms.index(arm)
    here = table.arm == place
    means = {metric.name: _mean(table, place, metric) for metric in design.metrics}
    units = int(here.sum())
    return {
        "name": arm,
        "units": units,
        "requests": int(table.requests[place]),
        "metrics": {
            name: {
                "mean": _number(mean.estimate if mean.n else np.nan),
                "ci": _bounds(mean.interval(design.level)) if mean.n else None,
                "units": mean.n,
            }
            for name, mean in means.items()
        },
    }


def _mean(table: UnitTable, place: int, metric: Metric) -> RunningMean:
    values = table.values[metric.name][table.arm == place]
    return RunningMean.empty(metric.bounds).extended(values[~np.isnan(values)])


def _difference(one: Comparison, table: UnitTable, design: Design) -> dict[str, Any]:
    mean = _mean(table, design.arms.index(design.against), one.metric).estimate
    told = {
        "metric": one.metric.name,
        "arm": one.arm,
        "against": design.against,
        **_estimate(one.found, one.level),
        "verdict": one.verdict,
        "method": one.found.method,
        "level": one.level,
        "relative": _number(one.found.estimate / mean if mean and one.found.n else np.nan),
    }
    if one.explained is not None:
        told["variance_removed"] = one.explained
    if one.beside is not None:
        pairs, apart = one.beside
        told |= {"pairs": _estimate(pairs, one.level), "apart": _estimate(apart, one.level)}
    return told | ({"path": [_estimate(state, one.level) for state in one.path]} if one.path else {})


def _estimate(found: Difference | RunningMean, level: float) -> dict[str, Any]:
    return {
        "estimate": _number(found.estimate if found.n else np.nan),
        "ci": _bounds(found.interval(level)),
        "units": found.n,
    }


def _breached(found: list[Comparison], design: Design) -> list[dict[str, Any]]:
    by = {(one.metric.name, one.arm): one.found for one in found}
    return [breach._asdict() for breach in breached(by, design)]


def _stop(found: list[Comparison], design: Design) -> dict[str, Any]:
    """Enough was seen once every primary difference is decided, or known closely."""
    primary = [one for one in found if one.metric.name == design.primary]
    width = max(one.interval[1] - one.interval[0] for one in primary)
    decided = all(one.verdict != "undecided" for one in primary)
    close = design.stop_width is not None and width <= design.stop_width
    reason = "decided" if decided else "width" if close else None
    return {"reached": decided or close, "reason": reason, "width": _number(width)}


def _verdicts(found: list[Comparison], table: UnitTable, design: Design, always_p: float) -> list[str]:
    if always_p < SRM_ALARM:
        return [
            "Units do not fall into the arms as the weights say, so who is in them may differ: trust no difference "
            "before the cause is found."
        ]
    theirs = design.arms.index(design.against)
    by = {(one.arm, one.metric.name): one for one in found}
    told = []
    if _known_p(table, design, design.primary) < SRM_ALARM:
        told.append(f"The {design.primary} is known of different shares of the arms' units, which may differ in kind.")
    for arm in design.others:
        primary, tokens = by[arm, design.primary], by.get((arm, "total_tokens"))
        means = [_mean(table, theirs, one.metric).estimate if one else 0.0 for one in (primary, tokens)]
        told.append(sentence(primary, tokens if tokens is not primary else None, design.against, (means[0], means[1])))
    return told


def _number(value: float) -> float | None:
    return float(value) if isfinite(value) else None


def _bounds(bounds: Bounds) -> list[float] | None:
    return [float(bounds[0]), float(bounds[1])] if all(map(isfinite, bounds)) else None
