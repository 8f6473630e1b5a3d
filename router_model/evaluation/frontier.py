"""The results of a router at each token price, compared with fixed efforts, random mixing and the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data.outcomes import Outcomes
from router_model.evaluation import metrics

F64 = NDArray[np.float64]
DIALS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
PRICES = np.concatenate([[np.inf], np.geomspace(1.0, 1e-7, 141), [0.0]])
LEAST_WITH_TOKENS = 20


@dataclass(frozen=True, slots=True)
class Forecasts:
    """The router's forecasts for the arms of a table, all [prompts, arms]; `tokens` is thinking plus answer.

    `prices` [prompts, DIALS]: the token price at each dial position; `ood_probability` [prompts]: as in
    `EncodedRequest`; `fell_back` [prompts]: out of distribution without a probe, so that they share one forecast;
    `text_gain` [prompts]: the gain forecast from the text in any case; `decision_ms`: CPU times of some decisions.
    """

    p: F64
    tokens: F64
    prices: F64
    ood_probability: F64
    fell_back: NDArray[np.bool_]
    text_gain: F64
    decision_ms: F64

    @property
    def gain(self) -> F64:
        """The forecast difference in P(correct) between the last effort and the first, [prompts]."""
        gained: F64 = self.p[:, -1] - self.p[:, 0]
        return gained

    @property
    def extra(self) -> F64:
        """The forecast difference in tokens between them, [prompts]."""
        spent: F64 = self.tokens[:, -1] - self.tokens[:, 0]
        return spent


@dataclass(frozen=True, slots=True)
class Point:
    """The results of a policy: mean accuracy, mean completion tokens, mean thinking tokens (None: unknown)."""

    name: str
    accuracy: float
    tokens: float
    thinking: float | None

    @property
    def at(self) -> tuple[float, float]:
        return self.tokens, self.accuracy

    def row(self) -> dict[str, Any]:
        return asdict(self)


def figures(chosen: Outcomes, forecasts: Forecasts, so_far: dict[str, Any]) -> dict[str, Any]:
    """The results of prices and dial positions over all efforts, on prompts with known tokens of every effort."""
    priced = np.asarray(~np.isnan(chosen.completion).any(axis=1))
    if priced.sum() < LEAST_WITH_TOKENS:
        so_far["notes"].append("token counts are unknown for this pair: no frontier in tokens, figures per call only")
        return {"fixed": None, "dial": None, "frontier": None}
    if not priced.all():
        so_far["notes"].append(
            f"token counts are known for {int(priced.sum())} of {len(chosen)} prompts: token figures use those"
        )
    known = chosen.rows(priced)
    p, tokens = forecasts.p[priced], forecasts.tokens[priced]
    fixed = [Point(arm.name, *_results(known, np.full(len(known), j))) for j, arm in enumerate(known.arms)]
    sweep = [Point(f"price {price:.3g}", *_results(known, choose(p, tokens, price))) for price in PRICES]
    prices = forecasts.prices[priced]
    dial = [Point(f"dial-{x:g}", *_results(known, choose(p, tokens, prices[:, k]))) for k, x in enumerate(DIALS)]
    oracle = [Point("", *_results(known, choose(known.correct, known.completion, price))) for price in PRICES]
    low, high = fixed[0].at, fixed[-1].at
    hull = metrics.upper_hull(*(np.array([getattr(point, k) for point in fixed]) for k in ("tokens", "accuracy")))
    figures = {
        "fixed": [point.row() for point in fixed],
        "dial": [
            point.row() | {"over_random": _over_random(point, low, high), "over_fixed": _over(point, hull)}
            for point in dial
        ],
        "frontier": [point.row() for point in sweep],
        "oracle_frontier": [point.row() for point in oracle],
        "token_apgr_efforts": _area(sweep, low, high),
        "thinking_share_at_minus_1_5_points": _least_share(sweep, fixed[-1], 0.015),
        "thinking_share_at_minus_1_point": _least_share(sweep, fixed[-1], 0.01),
    }
    so_far["baselines"]["best_fixed"]["token_apgr"] = metrics.capped_area(*hull, low, high)
    so_far["baselines"]["oracle"]["token_apgr_efforts"] = _area(oracle, low, high)
    return figures


def choose(p: F64, tokens: F64, price: float | F64) -> NDArray[np.int64]:
    """The decision rule for rows of efforts, cheapest first: the effort that maximises P(correct) - price * tokens.

    `price` is one number, or one per row.
    """
    if np.isinf(price).any():
        cheapest: NDArray[np.int64] = np.argmin(tokens, axis=1)
        return cheapest
    best: NDArray[np.int64] = np.argmax(p - np.reshape(price, (-1, 1)) * tokens, axis=1)
    return best


def _results(known: Outcomes, choice: NDArray[np.int64]) -> tuple[float, float, float | None]:
    rows = np.arange(len(known))
    thinking = known.thinking[rows, choice]
    mean_thinking = None if np.isnan(known.thinking).any() else float(thinking.mean())
    return float(known.correct[rows, choice].mean()), float(known.completion[rows, choice].mean()), mean_thinking


def _over_random(point: Point, low: tuple[float, float], high: tuple[float, float]) -> float:
    """The accuracy above random mixing of never and always thinking at the same mean tokens."""
    share = (point.tokens - low[0]) / (high[0] - low[0]) if high[0] > low[0] else 0.0
    return point.accuracy - (low[1] + share * (high[1] - low[1]))


def _over(point: Point, hull: tuple[F64, F64]) -> float:
    return point.accuracy - float(np.interp(point.tokens, *hull))


def _area(points: Sequence[Point], low: tuple[float, float], high: tuple[float, float]) -> float:
    return metrics.capped_area(np.array([p.tokens for p in points]), np.array([p.accuracy for p in points]), low, high)


def _least_share(points: Sequence[Point], always: Point, loss: float) -> float | None:
    """The least share of the thinking tokens of always thinking at which accuracy is within `loss` of it.

    The share of all its tokens if its thinking tokens are unknown or 0; None if no price achieves it.
    """
    good = [p for p in points if p.accuracy >= always.accuracy - loss]
    if not good:
        return None
    if not always.thinking:
        return min(p.tokens for p in good) / always.tokens
    return min((p.thinking or 0.0) for p in good) / always.thinking
