"""Forecasts of the routers under evaluation for every prompt of a table, as in the gateway."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_model.data.outcomes import Outcomes
from router_model.decision.probe_policy import ProbeViews
from router_model.evaluation import (
    frontier,
    probing,
)
from router_model.evaluation.crossval import Fold
from router_model.evaluation.frontier import Forecasts
from router_model.model.predict import OOD_UNTRUSTED

F64 = NDArray[np.float64]
# For each effort of a table, the heads of a router whose mean is its forecast.
Heads = Sequence[Sequence[int]]
TIMED_PROMPTS = 500


def forecast_all(evaluated: Sequence[tuple[Fold, Heads]], table: Outcomes) -> Forecasts:
    """Forecasts for every prompt, one by one as in the gateway; the first TIMED_PROMPTS are timed (CPU time).

    Prompts out of distribution that cannot be probed get the default effort in the gateway. Here they share one
    forecast, so that their order is random.
    """
    n, arms = len(table), len(evaluated[0][1])
    p, tokens, prices = (np.zeros((n, k)) for k in (arms, arms, len(frontier.DIALS)))
    times: list[float] = []
    ood_probability, fell_back = np.zeros(n), np.zeros(n, bool)
    for (predictor, rows), heads in evaluated:
        own = predictor.restricted({predictor.heads[i].model for group in heads for i in group})
        prices[rows] = [own.price_for_dial(x, "never") for x in frontier.DIALS]
        for i in rows.tolist():
            prompt = table.prompts[i]
            started = time.thread_time()
            reading = predictor.read(prompt.messages, prompt.tools)
            scores = predictor.scores(reading)
            if len(times) < TIMED_PROMPTS:
                times.append((time.thread_time() - started) * 1000)
            ood_probability[i] = reading.ood_probability
            for j, group in enumerate(heads):
                p[i, j] = sum(scores.p_correct[k] for k in group) / len(group)
                tokens[i, j] = sum(scores.thinking_tokens[k] + scores.answer_tokens[k] for k in group) / len(group)
            fell_back[i] = reading.ood_probability > OOD_UNTRUSTED and heads[0][0] not in predictor.probes_known
    text_gain = p[:, -1] - p[:, 0]
    if fell_back.any():
        p[fell_back], tokens[fell_back] = p[fell_back].mean(axis=0), tokens[fell_back].mean(axis=0)
    return Forecasts(p, tokens, prices, ood_probability, fell_back, text_gain, np.array(times))


def probe_views(evaluated: Sequence[tuple[Fold, Heads]], chosen: Outcomes) -> ProbeViews | None:
    """The forecasts of all folds before and after a probe; None if a router was trained without probes."""
    parts = []
    for (predictor, rows), heads in evaluated:
        part = probing.views(predictor, chosen.rows(rows), [group[0] for group in heads])
        if part is None:
            return None
        parts.append(part)
    back = np.argsort(np.concatenate([fold.rows for fold, _ in evaluated]))
    return ProbeViews(*(np.concatenate([getattr(part, name) for part in parts])[back] for name in ProbeViews.__slots__))
