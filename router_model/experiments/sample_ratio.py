"""Whether units fell into arms as often as the weights say. If not, arms differ in who is in them. Plain Python.

`always_valid_p` may be looked at after every unit: "Anytime-Valid Inference For Multinomial Count Data" (Lindon, Malek,
2022, NeurIPS 35, arXiv:2011.03567). `chi_squared_p` is Pearson's test for one look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import erfc, exp, lgamma, log, sqrt

# How firmly the alternative believes in shares near the weights. Large: small departures are found sooner.
CONCENTRATION = 100.0


def log_evidence(counts: Sequence[int], weights: Sequence[float]) -> float:
    """The logarithm of the Bayes factor against the weights: an e-value at any time.

    `counts` [arms] of units, `weights` [arms] in any unit. The alternative's shares are Dirichlet around the weights.
    ValueError: lengths that differ, or a weight that is not positive.
    """
    shares = _shares(counts, weights)
    prior = [CONCENTRATION * share for share in shares]
    found = lgamma(CONCENTRATION) - lgamma(CONCENTRATION + sum(counts))
    for count, share, a in zip(counts, shares, prior, strict=True):
        found += lgamma(a + count) - lgamma(a) - count * log(share)
    return found


def always_valid_p(phases: Iterable[tuple[Sequence[int], Sequence[float]]]) -> float:
    """A p value that holds at any stopping time, over phases of (counts, weights) with their own weights."""
    total = sum(log_evidence(counts, weights) for counts, weights in phases)
    return min(1.0, exp(min(-total, 0.0)))


def chi_squared_p(phases: Iterable[tuple[Sequence[int], Sequence[float]]]) -> float:
    """Pearson's p over all phases together; 1 where nothing was counted. It holds for one look alone."""
    statistic, freedom = 0.0, 0
    for counts, weights in phases:
        n, shares = sum(counts), _shares(counts, weights)
        if n:
            statistic += sum(
                (count - n * share) ** 2 / (n * share) for count, share in zip(counts, shares, strict=True)
            )
            freedom += len(counts) - 1
    return chi_squared_tail(statistic, freedom)


def chi_squared_tail(x: float, freedom: int) -> float:
    """P(X >= x) of the chi-squared distribution: a finite sum for whole degrees of freedom; 1 for none."""
    if freedom < 1 or x <= 0:
        return 1.0
    half = x / 2
    a = 0.5 if freedom % 2 else 1.0
    tail = erfc(sqrt(half)) if freedom % 2 else exp(-half)
    while a < freedom / 2:
        tail += exp(a * log(half) - half - lgamma(a + 1))
        a += 1
    return min(1.0, tail)


def _shares(counts: Sequence[int], weights: Sequence[float]) -> list[float]:
    if len(counts) != len(weights) or not counts:
        raise ValueError("each arm has one count and one weight")
    if not all(weight > 0 for weight in weights):
        raise ValueError("weights of arms are positive")
    return [weight / sum(weights) for weight in weights]
