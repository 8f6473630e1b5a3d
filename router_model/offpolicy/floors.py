"""When a log says too little of a policy for any estimate, and why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

# Rows with an outcome below which nothing is estimated.
LEAST_ROWS = 100
# Effective rows below which intervals are not to be trusted: measured, see the log of the router.
LEAST_ESS = 50.0
# A path that the policy is so many times likelier to take than the log's is as good as never in the log.
UNSEEN = 1000.0
# How much of what the policy would do may be as good as never in the log.
MOST_UNSEEN = 0.1
# How often propensities may differ from those that follow from the forecasts and prices of the log.
MOST_INCONSISTENT = 0.01


def effective_size(weight: F64) -> float:
    """How many rows of the policy itself would say as much: "A Note on Importance Sampling using Standardized Weights"
    (Kong, 1992, University of Chicago, technical report 348)."""
    squares = float(weight @ weight)
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def refusal(weight: F64, propensity: F64, unseen: float) -> str | None:
    """Why nothing is estimated from these rows; None: something can be.

    `weight` [rows]: the policy's probability of the path over the log's, `propensity`; `unseen`: the share of what the
    policy would do that the log as good as never shows.
    """
    n = len(weight)
    if n < LEAST_ROWS:
        return f"{n} decisions have an outcome, and no estimate is made of fewer than {LEAST_ROWS}"
    if (np.abs(weight - 1) > 1e-6).any() and (propensity >= 1 - 1e-9).all():
        return (
            "every propensity is 1: the log shows only what its own policy chose; switch on `explore`, or compare with "
            "paired or shadow answers"
        )
    ess = effective_size(weight)
    if ess < LEAST_ESS:
        return f"the log is worth only {ess:.0f} decisions of this policy; {LEAST_ESS:.0f} are needed"
    if unseen > MOST_UNSEEN:
        return f"{unseen:.0%} of what this policy would do has no example in the log"
    return None


def inconsistent(propensity: F64, own: F64) -> str | None:
    """Why recorded propensities [rows] are not to be trusted, beside those that the log's forecasts and prices give."""
    share = float((np.abs(propensity - own) > 0.01).mean()) if len(own) else 0.0
    if share <= MOST_INCONSISTENT:
        return None
    return f"{share:.0%} of the recorded propensities do not follow from the recorded forecasts and prices"
