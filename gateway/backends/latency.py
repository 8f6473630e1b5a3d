"""Latency of each deployment: running averages of this gateway's measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.core.deployment import Deployment

# The weight of the newest measurement: roughly the last twenty requests count.
NEWEST = 0.1
# Clients with their own average, and within how many recent answers one of theirs must occur.
MOST_CLIENTS, RECENT = 32, 200
# Assumed tokens of an answer before any is measured.
TYPICAL_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Timing:
    """One complete answer: seconds to its first token (None if not streamed), seconds in total, completion tokens, and
    its key.
    """

    ttft_s: float | None
    latency_s: float
    tokens: int
    client: str | None = None


class _RunningLatency:
    """One client's averages; `at` is the index of its latest answer among all answers."""

    __slots__ = ("answer_s", "answer_tokens", "at", "tpot_s", "ttft_s")

    def __init__(self, ttft_s: float, tpot_s: float, answer_s: float, answer_tokens: float) -> None:
        self.ttft_s, self.tpot_s = ttft_s, tpot_s
        self.answer_s, self.answer_tokens = answer_s, answer_tokens
        self.at = 0

    def learn(self, measured: Timing) -> None:
        """Update the averages; only a stream has a time to the first token."""
        self.answer_s += NEWEST * (measured.latency_s - self.answer_s)
        self.answer_tokens += NEWEST * (measured.tokens - self.answer_tokens)
        if measured.ttft_s is not None:
            self.ttft_s += NEWEST * (measured.ttft_s - self.ttft_s)
        if measured.tokens > 1:
            first = self.ttft_s if measured.ttft_s is None else measured.ttft_s
            tpot_s = max(measured.latency_s - first, 0.0) / (measured.tokens - 1)
            self.tpot_s += NEWEST * (tpot_s - self.tpot_s)


class LatencyModel:
    """One deployment's seconds to the first token, per further token, and per whole answer, with its tokens.

    Each client has its own average, and all clients weigh the same, so that one with many long prompts does not
    dominate.
    """

    __slots__ = ("_by", "_count", "answer_s", "answer_tokens", "tpot_s", "ttft_s")

    def __init__(self, ttft_s: float, tpot_s: float) -> None:
        self.ttft_s = ttft_s
        self.tpot_s = tpot_s
        self.answer_s = self.seconds(TYPICAL_TOKENS)
        self.answer_tokens = float(TYPICAL_TOKENS)
        self._by: dict[str | None, _RunningLatency] = {}
        self._count = 0

    def seconds(self, tokens: float) -> float:
        """Expected seconds until an answer of `tokens` tokens is complete."""
        return self.ttft_s + self.tpot_s * tokens

    def learn(self, measured: Timing | None) -> None:
        """Update from a request, unless it failed (None)."""
        if measured is None:
            return
        own = self._by.pop(measured.client, None) or self._fresh()
        own.learn(measured)
        self._count += 1
        own.at = self._count
        self._forget()
        self._by[measured.client] = own
        among = len(self._by)
        if among == 1:
            self.ttft_s, self.tpot_s, self.answer_s = own.ttft_s, own.tpot_s, own.answer_s
            self.answer_tokens = own.answer_tokens
            return
        self.ttft_s = sum(speed.ttft_s for speed in self._by.values()) / among
        self.tpot_s = sum(speed.tpot_s for speed in self._by.values()) / among
        self.answer_s = sum(speed.answer_s for speed in self._by.values()) / among
        self.answer_tokens = sum(speed.answer_tokens for speed in self._by.values()) / among

    def _fresh(self) -> _RunningLatency:
        return _RunningLatency(self.ttft_s, self.tpot_s, self.answer_s, self.answer_tokens)

    def _forget(self) -> None:
        """Drop inactive clients; the least recent comes first."""
        while self._by:
            name, oldest = next(iter(self._by.items()))
            if len(self._by) < MOST_CLIENTS and oldest.at > self._count - RECENT:
                return
            del self._by[name]


LatencyModels = Mapping[str, LatencyModel]


def latency_models_of(deployments: Iterable[Deployment]) -> dict[str, LatencyModel]:
    """One model per deployment, starting at the configured values."""
    return {one.name: LatencyModel(one.latency.ttft_s, one.latency.tpot_s) for one in deployments}
