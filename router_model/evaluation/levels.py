"""What choosing among more than two levels saves, beside a forest on a few structural counts.

The figure is the least share of the strongest level's tokens at which accuracy is within one point of it, over all
token prices, the best in hindsight. On a few hundred prompts that price is partly luck, so its interval is wide; the
paired difference to the forest says more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from router_model.data.outcomes import Outcomes
from router_model.evaluation import metrics
from router_model.evaluation.frontier import PRICES, Forecasts, choose
from router_model.features.request import DENSE_NAMES, featurize

F64 = NDArray[np.float64]
WITHIN = 0.01
DRAWS = 400
# A dozen counts of the last message that say how much of a problem there is.
COUNTS = (
    *("bytes", "words", "lines", "longest line", "digits", "numbers"),
    *("letters", "top word", "second word", "distinct words", "repeated pairs", "bracket depth"),
)


def figures(chosen: Outcomes, forecasts: Forecasts, folds: Sequence[NDArray[np.intp]]) -> dict[str, Any] | None:
    """The figures of router and forest, on the prompts with known tokens of every level; None with two levels only.

    `folds` are the prompts that were left out together: the forest is trained without them, as the router was.
    """
    known = np.asarray(~np.isnan(chosen.completion).any(axis=1))
    if len(chosen.arms) < 3 or known.sum() < 2 * len(chosen.arms):
        return None
    p, tokens = _forest(chosen, folds)
    part = chosen.rows(known)
    times = metrics.resamples(len(part), DRAWS)
    router = _shares(part, forecasts.p[known], forecasts.tokens[known], times)
    forest = _shares(part, p[known], tokens[known], times)
    return {
        "efforts": [arm.name for arm in part.arms],
        "accuracy": part.correct.mean(axis=0).tolist(),
        "tokens": part.completion.mean(axis=0).tolist(),
        "within": WITHIN,
        "router": _row(router),
        "forest": _row(forest),
        "router_minus_forest": _row(router - forest),
    }


def _row(shares: F64) -> dict[str, Any]:
    """`shares`: that of all prompts, then those of the draws."""
    return {"share_of_tokens": float(shares[0]), "ci": metrics.interval(shares[1:])}


def _shares(part: Outcomes, p: F64, tokens: F64, times: F64) -> F64:
    """The least share of the strongest level's tokens, of all prompts and of each draw [1 + draws].

    The strongest level for every prompt is always possible, at a share of 1.
    """
    rows, weights = np.arange(len(part)), np.vstack([np.ones(len(part)), times])
    best = np.ones(len(weights))
    strongest, whole = weights @ part.correct[:, -1], weights @ part.completion[:, -1]
    for price in PRICES:
        chosen = choose(p, tokens, price)
        good = weights @ part.correct[rows, chosen] >= strongest - WITHIN * len(part) - 1e-9
        share = weights @ part.completion[rows, chosen] / whole
        best = np.where(good, np.minimum(best, share), best)
    return best


def _forest(chosen: Outcomes, folds: Sequence[NDArray[np.intp]]) -> tuple[F64, F64]:
    """Out-of-fold forecasts [prompts, levels] of P(correct) and tokens."""
    columns = [DENSE_NAMES.index(f"last {name}") for name in COUNTS]
    x = np.array([featurize(prompt.messages, prompt.tools).dense for prompt in chosen.prompts])[:, columns]
    p, tokens = np.zeros(chosen.correct.shape), np.zeros(chosen.correct.shape)
    lengths = np.log1p(chosen.completion)
    for own in folds:
        others = np.setdiff1d(np.arange(len(chosen)), own)
        p[own] = _fitted(x[others], chosen.correct[others], x[own])
        counted = others[~np.isnan(lengths[others]).any(axis=1)]
        tokens[own] = np.expm1(_fitted(x[counted], lengths[counted], x[own]))
    return p, tokens


def _fitted(x: F64, y: F64, of: F64) -> F64:
    forest = RandomForestRegressor(60, min_samples_leaf=5, max_features=0.5, random_state=0)
    found: F64 = forest.fit(x, y).predict(of)
    return found
