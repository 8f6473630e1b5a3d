"""Probes: the features of a short answer without thinking, and the value of requesting one.

A probe *is* the answer without thinking, requested with log-probabilities. It never costs more than that answer: the
gateway either forwards it as the answer, or discards it and lets the model think, and only then are its tokens wasted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import expm1, fsum, log1p
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

PROBE_NAMES = ("probe tokens", "probe mean", "probe least", "probe sum", "probe first margin", "probe truncated")
PROBE_COLUMNS = ("probe_tokens", "probe_mean", "probe_min", "probe_first_margin", "probe_truncated")
# The value of an unknown margin, when the backend reports only one candidate: a clear one.
_CLEAR = 10.0
# Above this probability of being out of distribution, a request's forecast from its text alone is not used.
OOD_UNTRUSTED = 0.4
# Above this probability a probe is always sent.
OOD_ALWAYS_PROBE = 0.8


@dataclass(frozen=True, slots=True)
class Probe:
    """A finished (or truncated) answer without thinking: its number of tokens, and the model's confidence, in nats.

    `mean` and `least` are over the log-probabilities of its tokens; `first_margin` is the difference between the two
    most likely first tokens (None: unknown). `truncated`: it was cut before its end.
    """

    tokens: int
    mean: float
    least: float
    first_margin: float | None = None
    truncated: bool = False

    @classmethod
    def of(cls, logprobs: Sequence[float], first_margin: float | None = None, truncated: bool = False) -> Probe:
        """From the log-probabilities of an answer's tokens. ValueError: there are none."""
        if not logprobs:
            raise ValueError("a probe has at least one token")
        return cls(len(logprobs), fsum(logprobs) / len(logprobs), min(logprobs), first_margin, truncated)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Probe | None:
        """From a row of an outcome table; None if it has no probe."""
        if any(row.get(name) is None for name in PROBE_COLUMNS[:3]):
            return None
        margin = row.get("probe_first_margin")
        return cls(
            int(row["probe_tokens"]),
            float(row["probe_mean"]),
            float(row["probe_min"]),
            None if margin is None else float(margin),
            bool(row.get("probe_truncated")),
        )

    @classmethod
    def of_inputs(cls, numbers: Sequence[float]) -> Probe:
        """The inverse of `inputs`."""
        tokens, mean, least, _, margin, truncated = numbers
        return cls(round(expm1(tokens)), mean, least, margin, bool(truncated))

    def inputs(self) -> list[float]:
        """The features, in the order of PROBE_NAMES."""
        margin = _CLEAR if self.first_margin is None else min(self.first_margin, _CLEAR)
        return [log1p(self.tokens), self.mean, self.least, self.mean * self.tokens, margin, float(self.truncated)]


@dataclass(frozen=True, slots=True)
class ProbeValueModel:
    """The distribution of P(correct) after a probe, given the forecast before it, as quantiles.

    `before` [knots] ascends; `after` [knots, quantiles] are equally likely values at that knot.
    """

    before: F64
    after: F64

    def outcomes(self, p_correct: float) -> F64:
        """Equally likely values [quantiles] of P(correct) after the probe, given the forecast `p_correct` before it."""
        before = self.before
        right = int(np.searchsorted(before, p_correct))
        if right == 0 or right == len(before):
            known: F64 = self.after[min(right, len(before) - 1)]
            return known
        share = (p_correct - before[right - 1]) / (before[right] - before[right - 1])
        mixed: F64 = self.after[right - 1] * (1 - share) + self.after[right] * share
        return mixed

    def worth(self, p_correct: float, otherwise: float) -> float:
        """The mean of the better of the probe's answer and `otherwise`, both in units of P(correct)."""
        return float(np.maximum(self.outcomes(p_correct), otherwise).mean())


def probe_value_model(before: F64, after: F64, knots: int = 12, quantiles: int = 9) -> ProbeValueModel:
    """Fit the model to out-of-fold forecasts [prompts] before and after a probe, with fewer knots for few prompts."""
    knots = max(1, min(knots, len(before) // (3 * quantiles)))
    order = np.argsort(before, kind="stable")
    parts = [part for part in np.array_split(order, knots) if len(part)]
    at = np.array([before[part].mean() for part in parts])
    levels = (np.arange(quantiles) + 0.5) / quantiles
    values = np.array([np.quantile(after[part], levels) for part in parts])
    distinct = np.append(True, np.diff(at) > 1e-9)
    return ProbeValueModel(at[distinct], values[distinct])
