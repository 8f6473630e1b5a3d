"""The served policy on many prompts at once: which are probed, and which effort each ends with. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from router_model.model.probe import OOD_ALWAYS_PROBE

F64 = NDArray[np.float64]
# Whether a short answer is asked first: where it is worth its price, of everybody, or of nobody.
Ask = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class ProbeViews:
    """Forecasts for some efforts, the one that may be asked first at the front, before and after a probe of that one.

    `p_*`, `tokens_*` [prompts, efforts]; `outcomes` [prompts, quantiles]: what P(correct) may be after the probe;
    `ood_probability` [prompts].
    """

    p_before: F64
    tokens_before: F64
    p_after: F64
    tokens_after: F64
    outcomes: F64
    ood_probability: F64


def decide(seen: ProbeViews, price: float, ask: Ask = "auto") -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which prompts are probed, and the effort that each ends with, at a price per token in P(correct).

    `ask`: `auto` where it is worth it (`Predictor.wants_probe`), `always`, or `never`. At an infinite price the
    first effort is taken: the answer without thinking.
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
    # The answer is there already, and costs nothing more.
    after[:, 0] = seen.p_after[:, 0]
    return probed, np.where(probed, after.argmax(axis=1), 1 + before[:, 1:].argmax(axis=1))
