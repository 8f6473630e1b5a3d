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
    best: Promise | None = None
    for price in PRICES.tolist():
        bought, spent = trial.bought(price)
        correct, tokens = np.where(ood, reference, bought[order]), np.where(ood, dearest, spent[order])
        harmed = risk.harm(correct, reference)
        p = risk.regret_p(reference - correct, contract) if net else risk.harm_p(harmed, contract)
        if p > 1 - contract.confidence:
            break
        k = int(harmed.sum())
        best = Promise(
            price,
            n,
            k,
            exact_tests.upper_bound(k, n, 1 - contract.confidence),
            float((reference - correct).mean()),
            1 - float(tokens.sum() / max(dearest.sum(), 1.0)),
        )
    return best or Promise(None, n)
