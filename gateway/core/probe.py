"""A short answer without thinking that is asked for first."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import Literal, NamedTuple

# Whether a probe is asked for first: where it is worth it, wherever it is possible, or not at all.
ProbeUse = Literal["auto", "always", "never"]


class Probe(NamedTuple):
    """How sure a model was of its short answer: log-probabilities of its tokens in nats, and how far the first one was
    ahead of the next likely (None: unknown). `truncated`: the client's limit ended it.
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
    """How a probe is asked for: tokens of a stream that are held back at most, and seconds that that may take."""

    tokens: int = 64
    wait_s: float = 10.0
