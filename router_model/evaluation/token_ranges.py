"""Coverage of token forecasts: the share of real counts within the forecast range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data.outcomes import Outcomes
from router_model.evaluation.crossval import Fold

F64 = NDArray[np.float64]


def figures(evaluated: Sequence[tuple[Fold, Sequence[Sequence[int]]]], chosen: Outcomes) -> dict[str, Any] | None:
    """For thinking and answers, by effort: the share of counts from P10 to P90 and the share up to P50.

    Range ends are rounded to whole tokens. Thinking only without budgets. None if thinking and answer tokens were not
    counted separately.
    """
    if np.isnan(chosen.completion).any() or np.isnan(chosen.thinking).any():
        return None
    ranges = _ranges(evaluated, chosen)
    real = {"thinking": chosen.thinking, "answer": chosen.completion - chosen.thinking}
    found: dict[str, Any] = {}
    for kind, counts in real.items():
        columns = [j for j, arm in enumerate(chosen.arms) if kind == "answer" or (arm.think and arm.budget is None)]
        found[kind] = {
            chosen.arms[j].name: {
                "within": float(((counts[:, j] >= low - 0.5) & (counts[:, j] <= high + 0.5)).mean()),
                "up_to_median": float((counts[:, j] <= half + 0.5).mean()),
                "median_width": float(np.median(high - low)),
            }
            for j in columns
            for low, half, high in [ranges[kind][:, :, j]]
        }
    return found


def _ranges(evaluated: Sequence[tuple[Fold, Sequence[Sequence[int]]]], chosen: Outcomes) -> dict[str, F64]:
    """P10, P50 and P90 of thinking and answers, each [3, prompts, efforts], by the first head of each group."""
    found = {kind: np.zeros((3, len(chosen), len(chosen.arms))) for kind in ("thinking", "answer")}
    for (predictor, rows), heads in evaluated:
        first = [group[0] for group in heads]
        for i in rows.tolist():
            reading = predictor.read(chosen.prompts[i].messages, chosen.prompts[i].tools)
            quantiles = predictor.quantiles(predictor.scores(reading), reading)
            found["thinking"][:, i] = np.array(quantiles.thinking)[:, first]
            found["answer"][:, i] = np.array(quantiles.answer)[:, first]
    return found
