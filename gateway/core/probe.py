"""A probe: a short answer without thinking that is generated first."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import Literal, NamedTuple, Protocol

# When to probe: where it pays, wherever possible, or never.
ProbeUse = Literal["auto", "always", "never"]


class Probe(NamedTuple):
    """A model's confidence in its short answer: log-probabilities of its tokens in nats, and the first token's margin
    over the second most likely (None: unknown). `truncated`: the client's limit ended it.
    """

    logprobs: Sequence[float]
    first_margin: float | None = None
    truncated: bool = False

    @property
    def mean(self) -> float:
        return fsum(self.logprobs) / len(self.logprobs)

    @property
    def least(self) -> float:
        return min(self.logprobs)


class ProbeOptions(NamedTuple):
    """The limits of a probe: tokens of a stream to buffer at most, and seconds."""

    tokens: int = 64
    wait_s: float = 10.0


class ProbeValue(Protocol):
    """Whether a probe is worth asking for, before there is one."""

    def pays(self, best_direct: float, cost: float) -> bool:
        """Given the worth of the best effort that thinks, and what a probe costs, both in P(correct)."""
        ...

    @property
    def always(self) -> bool:
        """Whether it pays whatever it costs."""
        ...

    @property
    def outcomes(self) -> Sequence[float]:
        """Equally likely values of P(correct) after the probe.

        Unless it always pays, it pays where the mean of the better of outcome and `best_direct`, minus `cost`, is at
        least `best_direct`: policies that explore compute their propensities by that.
        """
        ...
