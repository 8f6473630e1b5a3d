"""Log-probabilities of an answer's tokens: recorded for a probe, passed on only to clients that requested them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.aliases import JsonObject
from gateway.core.probe import Probe


class Logprobs:
    """Collects them from the single choice of an answer, whole or streamed. `values` are in nats, in token order."""

    __slots__ = ("_first", "pieces", "values")

    def __init__(self) -> None:
        self.values: list[float] = []
        self.pieces = 0
        self._first: Any = None

    def add(self, choice: JsonObject) -> None:
        """Add a choice's entries up to the first malformed one, after which they could not be matched to tokens."""
        self.pieces += 1
        logprobs = choice.get("logprobs")
        entries = logprobs.get("content") if isinstance(logprobs, Mapping) else None
        for entry in entries if isinstance(entries, list) else ():
            value = _value(entry)
            if value is None:
                return
            if not self.values:
                self._first = entry.get("top_logprobs")
            self.values.append(value)

    def probe(self, finish_reason: str | None, most: int | None = None) -> Probe | None:
        """The probe over the first `most` tokens; None if there are none."""
        values = self.values[:most]
        truncated = finish_reason == "length" and len(values) == len(self.values)
        return Probe(values, _margin(self._first), truncated) if values else None


def without(choice: dict[str, Any]) -> bool:
    """Remove the log-probabilities; returns whether the chunk still has something to forward."""
    choice["logprobs"] = None
    return bool(choice.get("delta") or choice.get("finish_reason") or choice.get("token_ids"))


def _value(entry: Any) -> float | None:
    value = entry.get("logprob") if isinstance(entry, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def _margin(top: Any) -> float | None:
    """The difference between the two most likely first tokens, in nats."""
    values = [value for one in top if (value := _value(one)) is not None] if isinstance(top, list) else []
    values.sort(reverse=True)
    return values[0] - values[1] if len(values) > 1 else None
