"""A router's gain and calibration on each data set.

An average over data sets hides those in which a router only recognises the data set, or does harm.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from router_model.data.outcomes import Outcomes
from router_model.evaluation import baselines, metrics
from router_model.evaluation.frontier import Forecasts
from router_model.model.predict import OOD_UNTRUSTED

# Data sets with fewer prompts are left out, as their figures would be noise.
LEAST = 30
# With a smaller gap in accuracy, areas are meaningless.
LEAST_GAP = 0.01


def rows(chosen: Outcomes, forecasts: Forecasts) -> list[dict[str, Any]]:
    """One row per data set, largest first; `chosen` has the efforts in the order of the forecasts.

    `apgr` None: thinking gains less than LEAST_GAP. `below_random`: significantly worse than random mixing.
    """
    names = np.array([prompt.dataset for prompt in chosen.prompts])
    found, counts = np.unique(names, return_counts=True)
    order = np.lexsort((found, -counts))
    return [_row(str(found[k]), names == found[k], chosen, forecasts) for k in order if counts[k] >= LEAST]


def _row(name: str, own: metrics.Mask, chosen: Outcomes, forecasts: Forecasts) -> dict[str, Any]:
    correct, p = chosen.correct[own], forecasts.p[own]
    low, high = correct[:, 0], correct[:, -1]
    row: dict[str, Any] = {
        "dataset": name,
        "prompts": int(own.sum()),
        "accuracy_no_think": float(low.mean()),
        "accuracy_think": float(high.mean()),
        "forecast_no_think": float(p[:, 0].mean()),
        "forecast_think": float(p[:, -1].mean()),
        "ece": metrics.ece(p.ravel(), correct.ravel()),
        "brier": metrics.brier(p.ravel(), correct.ravel()),
        "strange": float((forecasts.ood_probability[own] > OOD_UNTRUSTED).mean()),
        "apgr": None,
        "apgr_ci": None,
        "length_apgr": None,
        "below_random": False,
    }
    if high.mean() - low.mean() < LEAST_GAP:
        return row
    score = forecasts.gain[own]
    interval = metrics.bootstrap(score, low, high, draws=300)
    length = baselines.length(chosen.rows(own))
    return row | {
        "apgr": metrics.apgr(score, low, high),
        "apgr_ci": list(interval),
        "length_apgr": metrics.apgr(length, low, high),
        "below_random": bool(interval[1] < 0.5),
    }
