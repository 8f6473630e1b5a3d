"""How fast each deployment answers: running averages of what this gateway measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.types import Deployment

# The weight of the newest measurement: about the last twenty requests count.
NEWEST = 0.1
# The tokens of an answer before any was measured.
TYPICAL_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Measured:
    """One complete answer: seconds to its first token (None if plain), seconds in all, completion tokens."""

    ttft_s: float | None
    latency_s: float
    tokens: int


class Pace:
    """Seconds to the first token, per further token, and of a whole answer of one deployment."""

    __slots__ = ("answer_s", "tpot_s", "ttft_s")

    def __init__(self, ttft_s: float, tpot_s: float) -> None:
        self.ttft_s = ttft_s
        self.tpot_s = tpot_s
        self.answer_s = self.seconds(TYPICAL_TOKENS)

    def seconds(self, tokens: float) -> float:
        """Expected seconds until an answer of so many tokens is complete."""
        return self.ttft_s + self.tpot_s * tokens

    def learn(self, measured: Measured | None) -> None:
        """From a request, unless it failed. A plain answer teaches nothing about the first token."""
        if measured is None:
            return
        self.answer_s += NEWEST * (measured.latency_s - self.answer_s)
        if measured.ttft_s is not None:
            self.ttft_s += NEWEST * (measured.ttft_s - self.ttft_s)
        if measured.tokens > 1:
            first = self.ttft_s if measured.ttft_s is None else measured.ttft_s
            tpot_s = max(measured.latency_s - first, 0.0) / (measured.tokens - 1)
            self.tpot_s += NEWEST * (tpot_s - self.tpot_s)


Paces = Mapping[str, Pace]


def paces(deployments: Iterable[Deployment]) -> dict[str, Pace]:
    """One pace per deployment, starting at the configured values."""
    return {deployment.name: Pace(deployment.ttft_s, deployment.tpot_s) for deployment in deployments}
