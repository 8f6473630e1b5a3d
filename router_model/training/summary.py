"""The results of cross-validation that an artifact stores: held-out prompts, and figures per head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data.outcomes import Outcomes
from router_model.decision.holdout import HeldOut, HeldOutForecasts
from router_model.evaluation import metrics
from router_model.training.settings import Settings

# The number of held-out prompts that an artifact keeps: fewer with many heads, to bound its size.
_HELD_OUT_PROMPTS = 2000
_HELD_OUT_CELLS = 40_000
_LEAST_HELD_OUT = 500


def held_out(
    before: HeldOutForecasts,
    after: Mapping[int, HeldOutForecasts],
    ood: NDArray[np.float64],
    table: Outcomes,
    seed: int,
) -> HeldOut:
    """A random sample of the prompts, as an artifact stores them."""
    most = min(_HELD_OUT_PROMPTS, max(_LEAST_HELD_OUT, _HELD_OUT_CELLS // len(table.arms)))
    rows = np.random.default_rng(seed).permutation(len(table))[:most]

    def sample(part: HeldOutForecasts) -> HeldOutForecasts:
        return HeldOutForecasts(part.p_correct[rows], part.tokens[rows])

    return HeldOut(
        sample(before),
        {head: sample(part) for head, part in after.items()},
        ood[rows],
        table.correct[rows],
        table.completion[rows],
    ).rounded()


def about(table: Outcomes, forecast: HeldOutForecasts, folds: int, settings: Settings) -> dict[str, Any]:
    """Cross-validated figures per head, and where the data came from."""
    rows = []
    p, tokens = np.asarray(forecast.p_correct, np.float64), np.asarray(forecast.tokens, np.float64)
    for j, arm in enumerate(table.arms):
        known = ~np.isnan(table.correct[:, j])
        real, forecasts = table.correct[known, j], p[known, j]
        spent = table.completion[known & ~np.isnan(table.completion[:, j]), j]
        rows.append(
            {
                "head": arm.name,
                "prompts": int(known.sum()),
                "accuracy": round(float(real.mean()), 4),
                "auc": _rounded(metrics.auc(forecasts, real >= 0.5)),
                "ece": _rounded(metrics.ece(forecasts, real)),
                "brier": _rounded(metrics.brier(forecasts, real)),
                "tokens": _rounded(float(np.mean(spent)) if len(spent) else float("nan"), 1),
                "tokens_forecast": _rounded(float(tokens[known, j].mean()), 1),
            }
        )
    return {
        "prompts": len(table),
        "datasets": sorted({prompt.dataset for prompt in table.prompts}),
        "groups": len({prompt.group for prompt in table.prompts}),
        "folds": folds,
        "trees": settings.boosting.rounds,
        "cross_validated": rows,
    }


def _rounded(value: float, digits: int = 4) -> float | None:
    return None if np.isnan(value) else round(value, digits)
