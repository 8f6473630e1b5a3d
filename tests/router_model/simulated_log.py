"""Simulated logs of a policy that explores in the price, probes included, with a truth that is known by simulation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_model.offpolicy.log_columns import Forecasts, Prices, Probes
from router_model.offpolicy.logged import Logged
from router_model.offpolicy.spread import FIXED, Spread
from router_model.offpolicy.target import PricedTarget

F64 = NDArray[np.float64]
SECOND = 0.0005


class Requests(NamedTuple):
    """Requests with forecasts, and what is really likely after a probe [rows, efforts]."""

    forecasts: Forecasts
    possible: NDArray[np.bool_]
    always: NDArray[np.bool_]
    outcomes: F64
    p_after: F64
    truth: F64


def requests(rng: np.random.Generator, n: int, probes: bool = True) -> Requests:
    """Four efforts; forecasts are off by a bias and by noise that they do not know of."""
    level = rng.normal(0.4, 1.2, n)
    gains = np.cumsum(np.concatenate([np.zeros((n, 1)), rng.gamma(1.0, 0.5, (n, 3)) - 0.15], axis=1), axis=1)
    logit = level[:, None] + gains
    tokens = np.array([30.0, 400, 1500, 4000]) * rng.lognormal(0, 0.5, (n, 4))
    truth = 1 / (1 + np.exp(-logit - rng.normal(0, 0.6, (n, 4))))
    p = 1 / (1 + np.exp(-(0.8 * logit + 0.15)))
    other = np.where(rng.random((n, 4)) < 0.05, 0.02, 0.0)
    forecasts = Forecasts(p, tokens, tokens / 90, other)
    # What a probe reveals: nearly whether its own answer is right.
    right = rng.random(n) < truth[:, 0]
    revealed = np.clip(np.where(right, rng.beta(8, 2, n), rng.beta(2, 6, n)), 0.01, 0.99)
    after_truth = truth.copy()
    after_truth[:, 0] = right
    quantiles = np.clip(p[:, :1] + np.linspace(-0.4, 0.4, 9), 0.01, 0.99)
    p_after = p.copy()
    p_after[:, 0] = revealed
    possible = (rng.random(n) < 0.7) & probes
    return Requests(forecasts, possible, possible & (rng.random(n) < 0.05), quantiles, p_after, after_truth)


def decisions(
    seen: Requests, price: F64, base: F64 | None = None, most_loss: float = np.inf
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which rows are asked and what each ends with, at a token price [rows]: the served rule, written out again. Of
    what is worth more than `most_loss` less than the best at the price `base` [rows] nothing is chosen."""
    before, pays, after = _worths(seen, price)
    if base is not None:
        at_base, asking, then = _worths(seen, base)
        best = np.maximum(at_base.max(axis=1), np.where(seen.possible & ~seen.always, asking, -np.inf))
        before = np.where(at_base >= best[:, None] - most_loss, before, -np.inf)
        after = np.where(then >= then.max(axis=1, keepdims=True) - most_loss, after, -np.inf)
        nothing = np.isinf(before.max(axis=1))
        pays = _asking(seen, price, before.max(axis=1))
        worth_it = ((pays >= before.max(axis=1)) & (asking >= best - most_loss)) | nothing
    else:
        worth_it = pays >= before.max(axis=1)
    asked = seen.possible & (worth_it | seen.always)
    return asked, np.where(asked, after.argmax(axis=1), before.argmax(axis=1))


def _worths(seen: Requests, price: F64) -> tuple[F64, F64, F64]:
    """Of each effort without a probe, of asking for one, and of each effort after it."""
    costs = price[:, None] * seen.forecasts.tokens + SECOND * seen.forecasts.seconds + seen.forecasts.other
    before = seen.forecasts.p_correct - costs
    before[seen.possible, 0] = -np.inf
    after = seen.p_after - costs
    after[:, 0] = seen.p_after[:, 0]
    return before, _asking(seen, price, before.max(axis=1)), after


def _asking(seen: Requests, price: F64, direct: F64) -> F64:
    cost = price * seen.forecasts.tokens[:, 0] + SECOND * seen.forecasts.seconds[:, 0] + seen.forecasts.other[:, 0]
    worth: F64 = np.maximum(seen.outcomes, direct[:, None]).mean(axis=1) - cost
    return worth


def factors(spread: Spread, z: F64) -> F64:
    return np.array([spread.factor(each) for each in z.tolist()])


def log(
    rng: np.random.Generator, seen: Requests, base: float | F64, spread: Spread, most_loss: float = np.inf
) -> Logged:
    """What a policy at a base price, or one for each row, logs, with exploration by this spread."""
    n = len(seen.possible)
    middle = np.broadcast_to(np.asarray(base, np.float64), n)
    asked, chosen = decisions(seen, middle * factors(spread, rng.standard_normal(n)), middle, most_loss)
    rows = np.arange(n)
    outcome = (rng.random(n) < seen.truth[rows, chosen]).astype(float)
    wasted = np.where(asked & (chosen > 0), seen.forecasts.tokens[:, 0], 0.0)
    noise = rng.lognormal(-0.045, 0.3, n)
    tokens = seen.forecasts.tokens[rows, chosen] * noise + wasted
    probes = Probes(
        seen.possible,
        seen.always,
        asked,
        np.where(seen.possible[:, None], seen.outcomes, np.nan),
        np.where(asked[:, None], seen.p_after, np.nan),
    )
    prices = Prices.of(n, base, SECOND, spread, most_loss)
    certain = np.zeros(n, bool), np.ones(n)
    draft = Logged(seen.forecasts, probes, prices, chosen, *certain, outcome, tokens, tokens / 90)
    if spread == FIXED:
        return draft
    return draft.with_propensity(PricedTarget(draft.prices).judge(draft).probability)


def truths(
    rng: np.random.Generator,
    seen: Requests,
    base: float | F64,
    spread: Spread = FIXED,
    draws: int = 1,
    most_loss: float = np.inf,
) -> tuple[float, float]:
    """The real mean outcome and tokens of a policy on these requests."""
    right, tokens, rows = 0.0, 0.0, np.arange(len(seen.possible))
    middle = np.broadcast_to(np.asarray(base, np.float64), len(rows))
    for _ in range(draws):
        asked, chosen = decisions(seen, middle * factors(spread, rng.standard_normal(len(rows))), middle, most_loss)
        right += float(seen.truth[rows, chosen].mean()) / draws
        wasted = np.where(asked & (chosen > 0), seen.forecasts.tokens[:, 0], 0.0)
        tokens += float((seen.forecasts.tokens[rows, chosen] + wasted).mean()) / draws
    return right, tokens
