"""Computes a router's guarantee: the highest token price that meets a contract on held-out prompts. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.decision import exact_tests, risk
from router_model.decision.holdout import HoldoutTrial
from router_model.decision.risk import Contract
from router_model.model.probe import OOD_UNTRUSTED

F64 = NDArray[np.float64]
# In P(correct) per token, from the safest upwards. At price 0 the router still chooses among efforts it deems equal.
PRICES: F64 = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 301)])


@dataclass(frozen=True, slots=True)
class Promise:
    """A contract's price, the number of prompts it is based on, and its results on them.

    `price` None: no price meets the contract, so the strongest effort is always used. `harmed` prompts became wrong
    that it would have answered correctly; `bound` is the upper bound on their share at the contract's confidence;
    `loss` is the net loss of accuracy; `saved` the saved share of the strongest effort's tokens.
    """

    price: float | None
    prompts: int
    harmed: int = 0
    bound: float = 0.0
    loss: float = 0.0
    saved: float = 0.0


def of(trial: HoldoutTrial, contract: Contract, net: bool = False) -> Promise:
    """The promise for the efforts of a trial; the last effort is the reference.

    Requests out of distribution always get the reference effort, since their losses cannot be estimated.
    """
    n = len(trial)
    if not n or len(trial.efforts) < 2:
        return Promise(None, n)
    # The betting test needs the prompts in random order.
    order = np.random.default_rng(0).permutation(n)
    ood = trial.seen.ood_probability[order] > OOD_UNTRUSTED
    reference, dearest = trial.correct[order, -1], trial.tokens[order, -1]
    best: tuple[float, F64, F64] | None = None
    before: tuple[F64, F64] | None = None
    for price in PRICES.tolist():
        bought, spent = trial.bought(price)
        correct, tokens = np.where(ood, reference, bought[order]), np.where(ood, dearest, spent[order])
        same = before is not None and np.array_equal(correct, before[0]) and np.array_equal(tokens, before[1])
        if not same and _p_value(correct, reference, contract, net) > 1 - contract.confidence:
            break
        best, before = (price, correct, tokens), (correct, tokens)
    return Promise(None, n) if best is None else _promise(*best, reference, dearest, contract)


def _p_value(correct: F64, reference: F64, contract: Contract, net: bool) -> float:
    if net:
        return risk.regret_p(reference - correct, contract)
    return risk.harm_p(risk.harm(correct, reference), contract)


def _promise(price: float, correct: F64, tokens: F64, reference: F64, dearest: F64, contract: Contract) -> Promise:
    """The results of a price on the prompts."""
    n, k = len(correct), int(risk.harm(correct, reference).sum())
    return Promise(
        price,
        n,
        k,
        exact_tests.upper_bound(k, n, 1 - contract.confidence),
        float((reference - correct).mean()),
        1 - float(tokens.sum() / max(dearest.sum(), 1.0)),
    )
