"""Held-out prompts: out-of-fold forecasts and measured outcomes, the basis of prices and guarantees.

NumPy only, since the gateway computes its dial from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from router_model.decision.probe_policy import Ask, ProbeViews, decide

F64 = NDArray[np.float64]
Floats = NDArray[np.floating]
# The largest number in half precision; larger counts would become infinite.
MOST_STORED = 65_504.0


@dataclass(frozen=True, slots=True)
class HeldOutForecasts:
    """Forecasts [prompts, heads]: P(correct), and thinking plus answer tokens."""

    p_correct: Floats
    tokens: Floats

    def restricted(self, heads: Sequence[int]) -> HeldOutForecasts:
        """Only these heads."""
        return HeldOutForecasts(self.p_correct[:, heads], self.tokens[:, heads])


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Training prompts with the forecasts of routers that were not trained on them, and their real outcomes.

    `before` are forecasts without a probe, `after` with one, by probed head (NaN: the prompt has no probe of it).
    `ood_probability` [prompts]. `correct` and `tokens` [prompts, heads] are measured; NaN: not measured.
    """

    before: HeldOutForecasts
    after: Mapping[int, HeldOutForecasts]
    ood_probability: Floats
    correct: Floats
    tokens: Floats

    def __len__(self) -> int:
        return len(self.ood_probability)

    @classmethod
    def none(cls, heads: int) -> HeldOut:
        """Without any prompts."""
        empty = np.zeros((0, heads), np.float32)
        return cls(HeldOutForecasts(empty, empty), {}, np.zeros(0, np.float32), empty, empty)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], probed: Sequence[int]) -> HeldOut:
        """The inverse of `arrays`. Raises KeyError if one is missing, ValueError if their shapes differ."""
        f = {name: array.astype(np.float32) for name, array in arrays.items()}
        held_out = cls(
            HeldOutForecasts(f["trial_p"], f["trial_forecast"]),
            {head: HeldOutForecasts(f[f"trial{head}_p"], f[f"trial{head}_forecast"]) for head in probed},
            f["trial_strange"],
            f["trial_correct"],
            f["trial_tokens"],
        )
        forecasts = (held_out.before, *held_out.after.values())
        tables = [held_out.tokens, *(f.p_correct for f in forecasts), *(f.tokens for f in forecasts)]
        if any(table.shape != held_out.correct.shape for table in tables):
            raise ValueError("the held-out tables differ in shape")
        return held_out

    def arrays(self) -> dict[str, NDArray[np.float16]]:
        """Every table in half precision, by its name in the artifact."""
        named = {"trial_strange": self.ood_probability, "trial_correct": self.correct, "trial_tokens": self.tokens}
        for prefix, forecast in (
            ("trial", self.before),
            *((f"trial{head}", of_head) for head, of_head in self.after.items()),
        ):
            named |= {f"{prefix}_p": forecast.p_correct, f"{prefix}_forecast": forecast.tokens}
        return {name: np.minimum(array, MOST_STORED).astype(np.float16) for name, array in named.items()}

    def rounded(self) -> HeldOut:
        """The values as they are read back from an artifact, rounded to half precision."""
        return HeldOut.of_arrays(self.arrays(), [*self.after])

    def restricted(self, heads: Sequence[int]) -> HeldOut:
        """Only these heads."""
        return replace(
            self,
            before=self.before.restricted(heads),
            after={new: self.after[old].restricted(heads) for new, old in enumerate(heads) if old in self.after},
            correct=self.correct[:, heads],
            tokens=self.tokens[:, heads],
        )


@dataclass(frozen=True, slots=True)
class HoldoutTrial:
    """Held-out prompts under the served policy: the results of each token price, for some efforts.

    `efforts` are heads of the predictor; the first one may be probed. `correct` and `tokens` [prompts, efforts] are
    measured; all prompts were run at all efforts.
    """

    efforts: tuple[int, ...]
    seen: ProbeViews
    correct: F64
    tokens: F64
    ask: Ask

    def __len__(self) -> int:
        return len(self.correct)

    def choices(self, price: float) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """The prompts that are probed at this token price, and the chosen effort of each (index into `efforts`)."""
        return decide(self.seen, price, self.ask)

    def bought(self, price: float) -> tuple[F64, F64]:
        """Correctness and tokens [prompts] at this price, including the tokens of discarded probes."""
        probed, choice = self.choices(price)
        rows = np.arange(len(self))
        discarded = np.where(probed & (choice > 0), self.tokens[:, 0], 0.0)
        return self.correct[rows, choice], self.tokens[rows, choice] + discarded


def of(held_out: HeldOut, efforts: Sequence[int], outcomes: F64, ask: Ask, measured: bool = True) -> HoldoutTrial:
    """The trial of these efforts, over the prompts that were run at all of them.

    `outcomes` [all prompts, quantiles]: the possible values of P(correct) after a probe of the first effort. Without
    probes of it in the data, `ask` is `never`. Tokens that were not measured are taken from the forecast. Without
    `measured`, prompts that were not run at all efforts count, too: their correctness is unknown (NaN).
    """
    columns = list(efforts)
    after = held_out.after.get(columns[0])
    asks: Ask = "never" if after is None or len(columns) < 2 else ask
    then = after if after is not None and asks != "never" else held_out.before
    known = ~np.isnan(then.p_correct[:, columns]).any(axis=1)
    if measured:
        known &= ~np.isnan(held_out.correct[:, columns]).any(axis=1)

    def part(matrix: Floats) -> F64:
        return matrix[known][:, columns].astype(np.float64)

    forecast, real = part(held_out.before.tokens), part(held_out.tokens)
    return HoldoutTrial(
        tuple(columns),
        ProbeViews(
            part(held_out.before.p_correct),
            forecast,
            part(then.p_correct),
            part(then.tokens),
            outcomes[known],
            held_out.ood_probability[known].astype(np.float64),
        ),
        part(held_out.correct),
        np.where(np.isnan(real), forecast, real),
        asks,
    )
