"""Risk contracts: finds the highest token price at which a router's loss stays within the contract.

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

    `horizon` None: for the expected regret in the long run; else for the realised regret on the next `horizon`
    requests.
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
    """Where a choice is wrong and the reference effort is right.

    Its rate is an upper bound of the loss of accuracy, since prompts on which both fail do not count.
    """
    return correct < reference


def harm_p(harmed: NDArray[np.bool_], contract: Contract) -> float:
    """The p-value of "the share of harmed prompts exceeds `max_regret`"; exact for exchangeable prompts."""
    n, k = len(harmed), int(harmed.sum())
    if contract.horizon is None:
        return exact_tests.binomial(k, n, contract.max_regret)
    # The least total number of harmed prompts, in calibration and horizon, that violates the contract on the horizon.
    together = k + int(np.floor(contract.max_regret * contract.horizon + 1e-9)) + 1
    if together > n + contract.horizon:
        return 0.0
    return exact_tests.hypergeometric(k, n + contract.horizon, together, n)


def regret_p(regret: F64, contract: Contract) -> float:
    """The p-value of "mean regret exceeds `max_regret`" in the long run, for regrets in [-1, 1] in random order.

    By betting against it: "Estimating means of bounded random variables by betting" (Waudby-Smith, Ramdas, 2024, JRSS B
    86(1):1-27, arXiv:2010.09686). The stakes depend on the regrets so far, and the highest wealth is the evidence.
    Gains offset losses, so it is less strict than `harm_p` where a router often beats the reference.
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
    """The index of the highest price that meets the contract, with ascending prices; None: not even the first does."""
    best = None
    for index in range(prices):
        if p_values(index) > 1 - contract.confidence:
            break
        best = index
    return best


def price_for(correct: F64, reference: F64, prices: F64, contract: Contract, net: bool = False) -> float | None:
    """The highest token price that meets the contract; None: none does, so the reference effort must be used.

    `correct` [prompts, prices]: correctness of the router's choice at each price, on prompts it was not trained on;
    `reference` [prompts]; `prices` ascend. `net`: gains offset losses.
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
    """How well a contract held over random splits: the shares of splits that violated it, and its cost.

    `broken`: on the second half; `broken_in_the_long_run`: on all prompts. `bought` is the share of splits in which
    some price met it, `tokens` the mean tokens on the second half, with the reference effort if none did.
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
    """Set the contract's price on one random half of the prompts and apply it to the other, `splits` times.

    Regret is harm or, with `net`, the net loss of accuracy.
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
