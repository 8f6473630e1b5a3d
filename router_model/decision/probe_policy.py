"""The served policy, vectorised over prompts: which are probed, and which effort each gets. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from router_model.model.probe import OOD_ALWAYS_PROBE

F64 = NDArray[np.float64]
# When to probe: if it is worth its price, always, or never.
Ask = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class ProbeViews:
    """Forecasts of some efforts before and after a probe of the first one.

    `p_*`, `tokens_*` [prompts, efforts]; `outcomes` [prompts, quantiles]: possible values of P(correct) after the
    probe; `ood_probability` [prompts].
    """

    p_before: F64
    tokens_before: F64
    p_after: F64
    tokens_after: F64
    outcomes: F64
    ood_probability: F64


def decide(seen: ProbeViews, price: float, ask: Ask = "auto") -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The prompts that are probed, and the effort index of each, at a price in P(correct) per token.

    `ask`: `auto` probes where it is worth it (`Predictor.wants_probe`). At an infinite price every prompt gets the
    first effort, the answer without thinking.
    """
    n = len(seen.p_before)
    if np.isinf(price):
        return np.full(n, ask != "never"), np.zeros(n, np.int64)
    before = seen.p_before - price * seen.tokens_before
    if ask == "never":
        return np.zeros(n, bool), np.argmax(before, axis=1)
    direct = before[:, 1:].max(axis=1)
    worth = np.maximum(seen.outcomes, direct[:, None]).mean(axis=1) - price * seen.tokens_before[:, 0]
    probed = np.ones(n, bool) if ask == "always" else (worth >= direct) | (seen.ood_probability > OOD_ALWAYS_PROBE)
    after = seen.p_after - price * seen.tokens_after
    # The probe's answer is available already, at no further cost.
    after[:, 0] = seen.p_after[:, 0]
    return probed, np.where(probed, after.argmax(axis=1), 1 + before[:, 1:].argmax(axis=1))
