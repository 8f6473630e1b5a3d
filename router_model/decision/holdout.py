"""What a router forecast for prompts it had not seen, and what came of them: prices and promises are read off these.

NumPy only: the running gateway sets its dial by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from router_model.decision.probe_policy import Ask, ProbeViews, decide

F64 = NDArray[np.float64]
Floats = NDArray[np.floating]
# The most tokens that a half-precision number holds, for rounding up to infinity would spoil every mean.
MOST_STORED = 65_504.0


@dataclass(frozen=True, slots=True)
class HeldOutForecasts:
    """Forecasts [prompts, heads]: P(correct), and thinking and answer tokens together."""

    p_correct: Floats
    tokens: Floats

    def restricted(self, heads: Sequence[int]) -> HeldOutForecasts:
        """Only these heads."""
        return HeldOutForecasts(self.p_correct[:, heads], self.tokens[:, heads])


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Prompts of the training data with what routers that had not seen them forecast, and what came of them.

    `before` any probe; `after` by probed head, NaN where a prompt has no probe of it. `strange` [prompts]. `correct`
    and `tokens` [prompts, heads] are real, NaN where that was not measured.
    """

    before: HeldOutForecasts
    after: Mapping[int, HeldOutForecasts]
    strange: Floats
    correct: Floats
    tokens: Floats

    def __len__(self) -> int:
        return len(self.strange)

    @classmethod
    def none(cls, heads: int) -> HeldOut:
        """No prompts at all."""
        empty = np.zeros((0, heads), np.float32)
        return cls(HeldOutForecasts(empty, empty), {}, np.zeros(0, np.float32), empty, empty)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], probed: Sequence[int]) -> HeldOut:
        """What `arrays` made. KeyError: one is missing; ValueError: they do not fit together."""
        f = {name: array.astype(np.float32) for name, array in arrays.items()}
        tried = cls(
            HeldOutForecasts(f["trial_p"], f["trial_forecast"]),
            {head: HeldOutForecasts(f[f"trial{head}_p"], f[f"trial{head}_forecast"]) for head in probed},
            f["trial_strange"],
            f["trial_correct"],
            f["trial_tokens"],
        )
        told = [part for known in (tried.before, *tried.after.values()) for part in (known.p_correct, known.tokens)]
        if any(part.shape != tried.correct.shape for part in (*told, tried.tokens)):
            raise ValueError("the tables of the trial do not fit together")
        return tried

    def arrays(self) -> dict[str, NDArray[np.float16]]:
        """All of it in half precision."""
        named = {"trial_strange": self.strange, "trial_correct": self.correct, "trial_tokens": self.tokens}
        for prefix, told in (("trial", self.before), *((f"trial{head}", told) for head, told in self.after.items())):
            named |= {f"{prefix}_p": told.p_correct, f"{prefix}_forecast": told.tokens}
        return {name: np.minimum(array, MOST_STORED).astype(np.float16) for name, array in named.items()}

    def rounded(self) -> HeldOut:
        """The same as it will be read back."""
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
    """Tried prompts as the served policy meets them, for some efforts: what any price would have bought.

    `efforts` are heads of the predictor; the first may be asked before others. `correct` and `tokens` [prompts,
    efforts]: what each really got and took. All prompts were run at all efforts.
    """

    efforts: tuple[int, ...]
    seen: ProbeViews
    correct: F64
    tokens: F64
    ask: Ask

    def __len__(self) -> int:
        return len(self.correct)

    def choices(self, price: float) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which prompts are probed at this price of a token, and the effort (by place in `efforts`) of each."""
        return decide(self.seen, price, self.ask)

    def bought(self, price: float) -> tuple[F64, F64]:
        """Correctness and tokens [prompts] at this price; tokens of probes that were thrown away count too."""
        probed, choice = self.choices(price)
        rows = np.arange(len(self))
        wasted = np.where(probed & (choice > 0), self.tokens[:, 0], 0.0)
        return self.correct[rows, choice], self.tokens[rows, choice] + wasted


def of(tried: HeldOut, efforts: Sequence[int], outcomes: F64, ask: Ask) -> HoldoutTrial:
    """The trial of these efforts, over the prompts that were run at all of them.

    `outcomes` [all prompts, quantiles]: what a probe of the first effort may reveal of each. Where no probe of it is
    known nobody is asked, whatever `ask` says. Tokens that were not measured are taken as forecast.
    """
    columns = list(efforts)
    after = tried.after.get(columns[0])
    asks: Ask = "never" if after is None or len(columns) < 2 else ask
    then = after if after is not None and asks != "never" else tried.before
    known = ~np.isnan(tried.correct[:, columns]).any(axis=1) & ~np.isnan(then.p_correct[:, columns]).any(axis=1)

    def part(matrix: Floats) -> F64:
        return matrix[known][:, columns].astype(np.float64)

    forecast, real = part(tried.before.tokens), part(tried.tokens)
    return HoldoutTrial(
        tuple(columns),
        ProbeViews(
            part(tried.before.p_correct),
            forecast,
            part(then.p_correct),
            part(then.tokens),
            outcomes[known],
            tried.strange[known].astype(np.float64),
        ),
        part(tried.correct),
        np.where(np.isnan(real), forecast, real),
        asks,
    )
