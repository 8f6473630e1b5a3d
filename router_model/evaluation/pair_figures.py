"""How well a router ranks prompts for the more expensive of two arms, compared with baselines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data.outcomes import Arm, Outcomes
from router_model.evaluation import baselines, frontier, metrics, regret
from router_model.evaluation.baselines import Scores
from router_model.evaluation.frontier import Forecasts

F64 = NDArray[np.float64]
Row = dict[str, Any]


def figures(table: Outcomes, weak: Arm, strong: Arm, forecasts: Forecasts) -> Row:
    """The router's figures at the top level, those of every baseline under `baselines`, and regret over prices.

    Cost is in calls of the expensive arm; where tokens are known, the `token_` figures have cost in tokens.
    """
    w, s = table.arms.index(weak), table.arms.index(strong)
    low, high = table.correct[:, w], table.correct[:, s]
    cost = table.completion[:, s] - table.completion[:, w]
    priced = ~np.isnan(cost)
    own = Scores(forecasts.gain, baselines.per_token(forecasts.gain, forecasts.extra))
    ranked: dict[str, Scores | None] = {"router": own, **baselines.scores(table, weak, strong)}
    by_token = _with_tokens(table, priced, (weak, strong), ranked)
    rows: dict[str, Row] = {}
    drawn: dict[str, dict[str, F64]] = {}
    for name, score in ranked.items():
        if score is None:
            rows[name] = {"apgr": None, "token_apgr": None, "missing": "no other models ran these prompts"}
            continue
        drawn[name] = metrics.resampled(score.calls, low, high)
        rows[name] = _calls(score.calls, low, high, drawn[name]) | {"token_apgr": None}
        tokens = by_token.get(name)
        if tokens is not None:
            drawn["token " + name] = metrics.resampled(tokens, low[priced], high[priced], cost[priced])
            rows[name] |= _tokens(tokens, low[priced], high[priced], cost[priced], drawn["token " + name])
    _add_recovered(rows, drawn)
    over = _over(rows, drawn)
    best = max((low.mean(), weak.name), (high.mean(), strong.name))
    rows |= {
        "random": {"apgr": 0.5, "token_apgr": 0.5 if by_token else None, "cpt50": 0.5, "cpt80": 0.8}
        | {"recovered_area": 0.0, "aiq": float(low.mean() + high.mean()) / 2},
        "best_fixed": {"apgr": 0.5, "token_apgr": None, "effort": best[1], "accuracy": float(best[0])}
        | {"recovered_area": 0.0, "aiq": float(max(low.mean(), (low.mean() + high.mean()) / 2))},
    }
    return {
        "accuracy_no_think": float(low.mean()),
        "accuracy_think": float(high.mean()),
        "prompts_with_tokens": int(priced.sum()),
        **_from_text_alone(forecasts, low, high),
        **rows.pop("router"),
        "baselines": {name: rows[name] | {"about": about} for name, about in baselines.ABOUT.items()},
        "over": over,
        "regret": _regret(high - low, cost, ranked, forecasts, bool(priced.all())),
    }


def _from_text_alone(forecasts: Forecasts, low: F64, high: F64) -> Row:
    if not forecasts.fell_back.any():
        return {}
    score = forecasts.text_gain
    return {"text_apgr": metrics.apgr(score, low, high), "text_apgr_ci": list(metrics.bootstrap(score, low, high))}


def _with_tokens(
    table: Outcomes, priced: metrics.Mask, pair: tuple[Arm, Arm], ranked: dict[str, Scores | None]
) -> dict[str, F64]:
    """Scores by gain per token on the prompts with known tokens; empty if there are too few."""
    if priced.sum() < frontier.LEAST_WITH_TOKENS:
        return {}
    found = dict(ranked)
    if not priced.all():
        found |= baselines.scores(table.rows(priced), *pair)
        own = ranked["router"]
        assert own is not None and own.tokens is not None
        found["router"] = Scores(own.calls[priced], own.tokens[priced])
    return {name: score.tokens for name, score in found.items() if score is not None and score.tokens is not None}


def _calls(score: F64, low: F64, high: F64, drawn: dict[str, F64]) -> Row:
    x, quality = metrics.curve(score, low, high)
    return {
        "apgr": metrics.area(x, quality),
        "apgr_ci": metrics.interval(drawn["area"]),
        "cpt50": metrics.cpt(score, low, high, 0.5),
        "cpt50_ci": metrics.interval(drawn["cpt50"]),
        "cpt80": metrics.cpt(score, low, high, 0.8),
        "cpt80_ci": metrics.interval(drawn["cpt80"]),
        "aiq": metrics.aiq(x, quality),
        "curve": _thin(x, quality),
    }


def _tokens(score: F64, low: F64, high: F64, cost: F64, drawn: dict[str, F64]) -> Row:
    x, quality = metrics.curve(score, low, high, cost)
    return {
        "token_apgr": metrics.area(x, quality),
        "token_apgr_ci": metrics.interval(drawn["area"]),
        "token_aiq": metrics.aiq(x, quality),
        "token_curve": _thin(x, quality),
    }


def _over(rows: dict[str, Row], drawn: dict[str, dict[str, F64]]) -> Row:
    """How much larger the router's area is than that of baselines that know less, with 95 % intervals.

    Both are drawn on the same prompts, so the interval is that of a paired difference.
    """
    found: Row = {}
    for name in ("random", "length", "dataset"):
        found[name] = {}
        for axis, prefix in (("apgr", ""), ("token_apgr", "token ")):
            if prefix + "router" not in drawn:
                continue
            other = drawn[prefix + name]["area"] if prefix + name in drawn else 0.5
            area = rows[name][axis] if name in rows else 0.5
            spread = metrics.interval(drawn[prefix + "router"]["area"] - other)
            found[name][axis] = {"difference": rows["router"][axis] - area, "ci": spread}
    return found


def _thin(x: F64, quality: F64, most: int = 60) -> list[list[float]]:
    kept = np.unique(np.linspace(0, len(x) - 1, most).round().astype(int))
    return [[round(float(value), 5) for value in pair] for pair in zip(x[kept], quality[kept], strict=True)]


def _add_recovered(rows: dict[str, Row], drawn: dict[str, dict[str, F64]]) -> None:
    """Add the shares of the oracle's and the ceiling's area above random mixing, for calls and for tokens."""
    for bound, ending in (("oracle", "area"), ("ceiling", "of_ceiling")):
        for axis, prefix in (("", ""), ("token_", "token ")):
            limit = (rows.get(bound) or {}).get(f"{axis}apgr")
            if limit is None:
                continue
            for name, row in rows.items():
                if row.get(f"{axis}apgr") is None:
                    continue
                key = f"recovered_{axis}{ending}"
                row[key] = metrics.recovered(row[f"{axis}apgr"], limit)
                if name == "router":
                    part, whole = (drawn[prefix + who]["area"] - 0.5 for who in (name, bound))
                    row[f"{key}_ci"] = metrics.interval(np.where(whole > 0, part / whole, np.nan))


def _regret(
    gain: F64, cost: F64, ranked: dict[str, Scores | None], forecasts: Forecasts, known: bool
) -> dict[str, Any] | None:
    """Regret with cost in tokens if all are known, else in calls; None if thinking has no additional cost."""
    cost = cost if known else np.ones(len(gain))
    if cost.mean() <= 0:
        return None
    price = regret.PRICES / cost.mean()
    extra = forecasts.extra if known else np.ones(len(gain))
    masks = {"router": forecasts.gain[:, None] > price * extra[:, None]}
    for name in ("dataset", "ceiling"):
        score = ranked[name]
        if score is not None:
            found = score.tokens if known else score.calls
            masks[name] = np.zeros((len(gain), 0), bool) if found is None else found[:, None] > price
    masks = {name: mask for name, mask in masks.items() if mask.shape[1]}
    longer = ranked["length"]
    assert longer is not None
    return {"in": "tokens" if known else "calls"} | regret.figures(gain, cost, masks, {"length": longer.calls})
