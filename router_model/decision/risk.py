"""A risk contract: the dearest price of a token at which a router still loses no more than was promised.

Distribution-free, by fixed-sequence testing: "Learn then Test: Calibrating Predictive Algorithms to Achieve Risk
Control" (Angelopoulos, Bates, Candès, Jordan, Lei, 2021, arXiv:2110.01052). Prices are tested from the safest upwards
against the null hypothesis "it loses more than promised", on held-out prompts; the first price that does not reject it
ends the sequence. Each price is reached only after all safer ones passed, so no correction for multiple tests is
needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.decision import exact_tests

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contract:
    """At most `max_regret` less accuracy than the reference effort, with probability `confidence`.

    `horizon` None: on traffic in the long run. Else on the next so many requests themselves, luck included.
    """

    max_regret: float
    confidence: float = 0.95
    horizon: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.max_regret < 1 or not 0 < self.confidence < 1:
            raise ValueError("max_regret and confidence lie between 0 and 1")
        if self.horizon is not None and self.horizon < 1:
            raise ValueError("a horizon is at least one request")


def harm(correct: F64, reference: F64) -> NDArray[np.bool_]:
    """Where a choice lost what the reference effort would have got right.

    Its rate is never less than the loss of accuracy. Giving up where thinking fails too harms nobody.
    """
    return correct < reference


def harm_p(harmed: NDArray[np.bool_], contract: Contract) -> float:
    """The p-value of "more than the promised share of prompts is harmed"; exact, for prompts that are exchangeable."""
    n, k = len(harmed), int(harmed.sum())
    if contract.horizon is None:
        return exact_tests.binomial(k, n, contract.max_regret)
    # The least harm in all prompts together, calibration and horizon, that breaks the promise on the horizon.
    together = k + int(np.floor(contract.max_regret * contract.horizon + 1e-9)) + 1
    if together > n + contract.horizon:
        return 0.0
    return exact_tests.hypergeometric(k, n + contract.horizon, together, n)


def regret_p(regret: F64, contract: Contract) -> float:
    """The p-value of "mean regret is above the promised", for regrets in [-1, 1] in random order, in the long run.

    By betting against it: "Estimating means of bounded random variables by betting" (Waudby-Smith, Ramdas, 2024, JRSS B
    86(1):1-27, arXiv:2010.09686). The stakes follow the regrets seen so far, and the greatest wealth
    is evidence. Gains count against losses, so that it asks for less than `harm_p` where a router often beats the
    reference.
    """
    if contract.horizon is not None:
        raise ValueError("the bound on net regret holds in the long run; for a horizon use harm_p")
    n, alpha = len(regret), contract.max_regret
    before = np.concatenate([[0.0], np.cumsum(regret)[:-1]])
    mean = before / np.arange(1, n + 1)
    squares = np.concatenate([[0.0], np.cumsum((regret - mean) ** 2)[:-1]])
    variance = (0.25 + squares) / np.arange(1, n + 1)
    stake = np.minimum(np.sqrt(2 * np.log(1 / (1 - contract.confidence)) / (variance * n)), 0.75 / (1 - alpha))
    wealth = np.cumsum(np.log1p(stake * (alpha - regret)))
    return float(min(1.0, np.exp(-max(float(wealth.max()), 0.0))))


def dearest(p_values: Callable[[int], float], prices: int, contract: Contract) -> int | None:
    """The index of the dearest price that keeps the contract, prices rising; None: not even the first does."""
    best = None
    for index in range(prices):
        if p_values(index) > 1 - contract.confidence:
            break
        best = index
    return best


def price_for(correct: F64, reference: F64, prices: F64, contract: Contract, net: bool = False) -> float | None:
    """The dearest price of a token that keeps the contract; None: none does, think as the reference does.

    `correct` [prompts, prices]: what the router's choice at each price got, on prompts it did not learn from;
    `reference` [prompts]; `prices` rise. `net` counts gains against losses.
    """
    if correct.shape != (len(reference), len(prices)) or np.any(np.diff(prices) < 0):
        raise ValueError("one column of outcomes per price, and rising prices")

    def p_value(index: int) -> float:
        if net:
            return regret_p(reference - correct[:, index], contract)
        return harm_p(harm(correct[:, index], reference), contract)

    chosen = dearest(p_value, len(prices), contract)
    return None if chosen is None else float(prices[chosen])


@dataclass(frozen=True, slots=True)
class RiskTrial:
    """How a contract held over random splits: the share of splits where it was broken, and what it cost.

    `broken` on the other half as it came; `broken_in_the_long_run` judged by all prompts. `bought` is the share of
    splits in which any price kept it, `tokens` mean tokens on the other half, where the reference is taken if none did.
    """

    splits: int
    broken: float
    broken_in_the_long_run: float
    bought: float
    tokens: float


def trial(
    correct: F64,
    tokens: F64,
    reference: F64,
    reference_tokens: F64,
    prices: F64,
    contract: Contract,
    splits: int = 1000,
    net: bool = False,
    seed: int = 0,
) -> RiskTrial:
    """Set the contract's price on one random half, spend by it on the other, many times over.

    Regret is judged as the contract counts it: harm, or with `net` the loss of accuracy.
    """
    rng = np.random.default_rng(seed)
    n = len(reference)
    loss = reference[:, None] - correct if net else harm(correct, reference[:, None]).astype(np.float64)
    broken, long_run, bought, spent = 0, 0, 0, 0.0
    for _ in range(splits):
        order = rng.permutation(n)
        known, new = order[: n // 2], order[n // 2 :]
        price = price_for(correct[known], reference[known], prices, contract, net)
        if price is None:
            spent += float(reference_tokens[new].mean())
            continue
        at = int(np.searchsorted(prices, price))
        bought += 1
        spent += float(tokens[new, at].mean())
        broken += loss[new, at].mean() > contract.max_regret + 1e-12
        long_run += loss[:, at].mean() > contract.max_regret + 1e-12
    return RiskTrial(splits, broken / splits, long_run / splits, bought / splits, spent / splits)
