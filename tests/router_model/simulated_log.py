"""Simulated logs of a policy that explores in the price, probes included, with a truth that is known by simulation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_model.offpolicy.logged import Forecasts, Logged, Prices, Probes
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


def decisions(seen: Requests, price: F64) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which rows are asked and what each ends with, at a token price [rows]: the served rule, written out again."""
    costs = price[:, None] * seen.forecasts.tokens + SECOND * seen.forecasts.seconds + seen.forecasts.other
    worth = seen.forecasts.p_correct - costs
    direct = worth[:, 1:].max(axis=1)
    pays = np.maximum(seen.outcomes, direct[:, None]).mean(axis=1) - costs[:, 0] >= direct
    asked = seen.possible & (pays | seen.always)
    after = seen.p_after - costs
    after[:, 0] = seen.p_after[:, 0]
    without = np.where(seen.possible, 1 + worth[:, 1:].argmax(axis=1), worth.argmax(axis=1))
    return asked, np.where(asked, after.argmax(axis=1), without)


def log(rng: np.random.Generator, seen: Requests, base: float | F64, s: float) -> Logged:
    """What a policy at a base price, or one for each row, with exploration s logs."""
    n = len(seen.possible)
    asked, chosen = decisions(seen, base * np.exp(s * rng.standard_normal(n)))
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
    draft = Logged(
        seen.forecasts, probes, Prices.of(n, base, SECOND, s), chosen, np.zeros(n, bool), np.ones(n), outcome, tokens,
        tokens / 90,
    )  # fmt: skip
    if s == 0:
        return draft
    return draft.with_propensity(PricedTarget(draft.prices).judge(draft).probability)


def truths(
    rng: np.random.Generator, seen: Requests, base: float, s: float = 0.0, draws: int = 1
) -> tuple[float, float]:
    """The real mean outcome and tokens of a policy on these requests."""
    right, tokens, rows = 0.0, 0.0, np.arange(len(seen.possible))
    for _ in range(draws):
        asked, chosen = decisions(seen, base * np.exp(s * rng.standard_normal(len(rows))))
        right += float(seen.truth[rows, chosen].mean()) / draws
        wasted = np.where(asked & (chosen > 0), seen.forecasts.tokens[:, 0], 0.0)
        tokens += float((seen.forecasts.tokens[rows, chosen] + wasted).mean()) / draws
    return right, tokens
