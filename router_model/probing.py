"""What a router buys that may ask first: a cheap answer, sent on where it convinces, else thrown away and paid for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model import metrics
from router_model.asking import Ask, Views, decide
from router_model.outcomes import Outcomes
from router_model.predict import STRANGE, Predictor
from router_model.probe import Probe

__all__ = ["PRICES", "Views", "bought", "decide", "figures", "views"]

F64 = NDArray[np.float64]
PRICES = np.concatenate([[np.inf], np.geomspace(1.0, 1e-6, 181), [0.0]])


def views(predictor: Predictor, chosen: Outcomes, heads: Sequence[int]) -> Views | None:
    """Forecasts of a table's efforts by these heads; None where the table has no probes or the router knows none."""
    weak = chosen.arms[0]
    if weak not in chosen.probes or heads[0] not in predictor.probes_known:
        return None
    probes = chosen.probes[weak]
    if np.isnan(probes).any():
        return None
    readings = [predictor.read(prompt.messages, prompt.tools) for prompt in chosen.prompts]
    before = [predictor.scores(reading) for reading in readings]
    after = [
        predictor.scores(reading, Probe.of_inputs(row), heads[0])
        for reading, row in zip(readings, probes.tolist(), strict=True)
    ]
    columns = list(heads)
    reveals = predictor.artifact.probed[heads[0]].reveals
    p_before = np.array([scores.p_correct for scores in before])[:, columns]
    return Views(
        p_before,
        np.array([np.add(s.thinking_tokens, s.answer_tokens) for s in before])[:, columns],
        np.array([scores.p_correct for scores in after])[:, columns],
        np.array([np.add(s.thinking_tokens, s.answer_tokens) for s in after])[:, columns],
        np.stack([reveals.outcomes(p) for p in p_before[:, 0]]),
        np.array([reading.strange for reading in readings]),
    )


def bought(chosen: Outcomes, probed: NDArray[np.bool_], choice: NDArray[np.int64]) -> tuple[float, float, float]:
    """Accuracy, tokens and thinking tokens, all means. Tokens of probes that were thrown away count in both."""
    rows = np.arange(len(chosen))
    wasted = np.where(probed & (choice > 0), chosen.completion[:, 0], 0.0)
    return (
        float(chosen.correct[rows, choice].mean()),
        float((chosen.completion[rows, choice] + wasted).mean()),
        float((chosen.thinking[rows, choice] + wasted).mean()),
    )


def figures(predictor: Predictor, chosen: Outcomes, heads: Sequence[int]) -> dict[str, Any] | None:
    """Per way to ask: token APGR, thinking shares at which always-think's accuracy is kept; and calibration after.

    None where nothing can be said: no probes, or efforts whose tokens are unknown.
    """
    if np.isnan(chosen.completion).any() or np.isnan(chosen.thinking).any():
        return None
    seen = views(predictor, chosen, heads)
    if seen is None:
        return None
    asks: tuple[Ask, ...] = ("auto", "always", "never")
    result: dict[str, Any] = {ask: _swept(chosen, seen, ask) for ask in asks}
    said, real = seen.p_after, chosen.correct
    return result | {
        "auc_after": metrics.auc(said[:, 0], real[:, 0] >= 0.5),
        "ece_after": metrics.ece(said.ravel(), real.ravel()),
        "brier_after": metrics.brier(said.ravel(), real.ravel()),
        "strange": float((seen.strange > STRANGE).mean()),
    }


def _swept(chosen: Outcomes, seen: Views, ask: Ask) -> dict[str, Any]:
    points = [(decide(seen, price, ask), price) for price in PRICES]
    curve = [(*bought(chosen, *made), float(made[0].mean()), float(price)) for made, price in points]
    low, high = (chosen.completion[:, j].mean() for j in (0, -1))
    never, always = (float(chosen.correct[:, j].mean()) for j in (0, -1))
    tokens, accuracy = (np.array([row[k] for row in curve]) for k in (1, 0))
    interval = 1.96 * float(np.sqrt(always * (1 - always) / len(chosen)))
    return {
        "token_apgr": metrics.capped_area(tokens, accuracy, (float(low), never), (float(high), always)),
        "thinking_share_within_interval": _least(curve, chosen, always - interval),
        "thinking_share_at_minus_1_point": _least(curve, chosen, always - 0.01),
        "points": [dict(zip(("accuracy", "tokens", "thinking", "probed", "price"), row, strict=True)) for row in curve],
    }


def _least(curve: Sequence[tuple[float, ...]], chosen: Outcomes, wanted: float) -> float | None:
    enough = [row[2] for row in curve if row[0] >= wanted - 1e-12]
    return min(enough) / float(chosen.thinking[:, -1].mean()) if enough else None
