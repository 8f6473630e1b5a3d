"""What a router can guarantee: the highest token price that keeps a contract on held-out prompts. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.decision import exact_tests, risk
from router_model.decision.holdout import HoldoutTrial
from router_model.decision.risk import Contract
from router_model.model.probe import OOD_UNTRUSTED

F64 = NDArray[np.float64]
# From the safest upwards. The first already lets the router choose: what it takes for no worse.
PRICES: F64 = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 301)])


@dataclass(frozen=True, slots=True)
class Promise:
    """A contract's price, on how many prompts it rests, and what it did on them.

    `price` None: none keeps the contract, so the dearest effort is taken for everybody. `harmed` of the prompts lost
    what that effort got right; `bound` is the upper bound on their share at the contract's confidence; `loss` is the
    loss of accuracy, gains counted; `saved` the share of the dearest effort's tokens.
    """

    price: float | None
    prompts: int
    harmed: int = 0
    bound: float = 0.0
    loss: float = 0.0
    saved: float = 0.0


def of(trial: HoldoutTrial, contract: Contract, net: bool = False) -> Promise:
    """The promise for the efforts of a trial, the last of which is what its losses are measured by.

    Requests of a kind never met get that effort whatever the price: nothing is known about what they would lose.
    """
    n = len(trial)
    if not n or len(trial.efforts) < 2:
        return Promise(None, n)
    # Bets on regret count on an order that means nothing.
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
