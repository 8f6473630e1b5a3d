"""The calibration of forecasts of P(correct), over all efforts and for each."""

from __future__ import annotations

from typing import Any

import numpy as np

from router_model.data.outcomes import Outcomes
from router_model.evaluation import (
    metrics,
)
from router_model.evaluation.frontier import Forecasts


def figures(chosen: Outcomes, forecasts: Forecasts) -> dict[str, Any]:
    """ECE and Brier score over all efforts; per effort also AUC; and the data of the reliability diagram."""
    confidence, real = forecasts.p.ravel(), chosen.correct.ravel()
    times = metrics.resamples(len(chosen), 300)
    squared = np.square(forecasts.p - chosen.correct).mean(axis=1)
    per_effort = {
        arm.name: {
            "ece": metrics.ece(forecasts.p[:, j], chosen.correct[:, j]),
            "brier": metrics.brier(forecasts.p[:, j], chosen.correct[:, j]),
            "auc": metrics.auc(forecasts.p[:, j], chosen.correct[:, j] >= 0.5),
            "forecast_accuracy": float(forecasts.p[:, j].mean()),
        }
        for j, arm in enumerate(chosen.arms)
    }
    return {
        "ece": metrics.ece(confidence, real),
        "ece_ci": metrics.interval(metrics.ece_draws(forecasts.p, chosen.correct, times)),
        "brier": metrics.brier(confidence, real),
        "brier_ci": metrics.interval(times @ squared / len(chosen)),
        "auc": per_effort[chosen.arms[0].name]["auc"],
        "efforts": per_effort,
        "reliability": metrics.reliability(confidence, real),
    }
