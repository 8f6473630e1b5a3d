"""Simulated traffic of an experiment with a known truth."""

from __future__ import annotations

from typing import Literal

import numpy as np

from router_model.experiments.difference import Units

Kind = Literal["right", "tokens"]


def units(
    rng: np.random.Generator, n: int, effect: float = 0.0, share: float = 0.5, kind: Kind = "right", ramp: bool = False
) -> Units:
    """Units whose arm changes the mean value by `effect`, with a forecast that explains a part of the value.

    `right`: 0 or 1, .63 on average, and an effect within a tenth; `tokens`: log-normal, 600 on average. `ramp`: the
    first third is assigned to the arm with a fifth of the share.
    """
    shares = np.where(ramp & (np.arange(n) < n // 3), share / 5, share)
    in_arm = rng.random(n) < shares
    if kind == "right":
        forecast = 0.1 + 0.8 * rng.beta(2, 1, n)
        return Units(in_arm, shares, (rng.random(n) < forecast + effect * in_arm).astype(float), forecast)
    forecast = rng.lognormal(6, 0.6, n)
    return Units(in_arm, shares, forecast * rng.lognormal(0.2, 0.4, n) + effect * in_arm, forecast)
