"""Measures whether risk contracts hold: prices are set on one half of a table and evaluated on the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from router_model.data.outcomes import Outcomes
from router_model.decision import risk
from router_model.decision.risk import Contract
from router_model.evaluation.frontier import Forecasts, choose

PROMISES = (0.01, 0.02, 0.05)
SPLITS = 1000
LEAST = 200
_PRICES = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, 16)])


def figures(chosen: Outcomes, forecasts: Forecasts, splits: int = SPLITS) -> list[dict[str, Any]] | None:
    """For each promise the share of random splits that violated it, and its cost; None with too few prompts.

    Violations are by harm (see `risk.harm`) in the long run, over all prompts of the table. If token counts are
    unknown, all thinking costs the same. Prices are scaled by the cost of always thinking, as in `regret`.
    """
    if len(chosen) < LEAST:
        return None
    spent, expected = chosen.completion, forecasts.tokens
    if np.isnan(spent).any():
        spent = expected = np.tile(np.arange(2.0).repeat([1, len(chosen.arms) - 1]), (len(chosen), 1))
    extra = max(float((spent[:, -1] - spent[:, 0]).mean()), 1e-9)
    prices = _PRICES / extra
    rows = np.arange(len(chosen))
    choices = [choose(forecasts.p, expected, float(price)) for price in prices]
    correct = np.stack([chosen.correct[rows, choice] for choice in choices], axis=1)
    tokens = np.stack([spent[rows, choice] for choice in choices], axis=1)
    found = []
    for promised in PROMISES:
        trial = risk.trial(
            correct, tokens, chosen.correct[:, -1], spent[:, -1], prices, Contract(promised), splits=splits
        )
        found.append(
            {
                "max_regret": promised,
                "splits": splits,
                "violations": trial.broken_in_the_long_run,
                "violations_on_the_other_half": trial.broken,
                "kept_by_a_price": trial.bought,
                "share_of_tokens": trial.tokens / float(spent[:, -1].mean()),
            }
        )
    return found
