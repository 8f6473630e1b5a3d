"""What can be said without exploration: requests that were answered at several efforts, sampled by chance.

Such answers show every constant policy ("always so much thought") without any weight, whatever served the client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.offpolicy.estimators import interval
from router_model.offpolicy.floors import LEAST_ROWS

F64 = NDArray[np.float64]


def constant_policies(efforts: Sequence[str], answers: Mapping[str, F64], level: float = 0.05) -> list[dict[str, Any]]:
    """Rows like those of `replay`, with method `shadow`: `always-<effort>` by metric, of every effort ever answered.

    `answers` of metrics, by name: [rows, efforts], NaN where a request was not answered at that effort; `level` that of
    the intervals, each by itself. A row counts where it was answered at two efforts or more. ValueError: a table of
    another width.
    """
    found = []
    for metric, table in answers.items():
        if table.ndim != 2 or table.shape[1] != len(efforts):
            raise ValueError(f"{metric} needs one column for each of {len(efforts)} efforts")
        sampled = table[(~np.isnan(table)).sum(axis=1) >= 2]
        for place, effort in enumerate(efforts):
            values = sampled[:, place]
            values = values[~np.isnan(values)]
            if len(values):
                found.append({"name": f"always-{effort}", "metric": metric} | _estimated(values, level))
    return found


def _estimated(values: F64, level: float) -> dict[str, Any]:
    n = len(values)
    told = {"ess": float(n), "n": n, "method": "shadow", "unseen": 0.0}
    if n < LEAST_ROWS:
        why = f"{n} requests were answered at this effort and another; no estimate is made of fewer than {LEAST_ROWS}"
        return {"estimate": None, "ci": None} | told | {"refused": why}
    mean, low, high = interval(values, np.arange(n), level, n)
    return {"estimate": mean, "ci": [low, high]} | told | {"refused": None}
