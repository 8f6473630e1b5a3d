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
        """Entries that are none end it: what is known of the rest would be of other tokens."""
        self.pieces += 1
        told = choice.get("logprobs")
        entries = told.get("content") if isinstance(told, Mapping) else None
        for entry in entries if isinstance(entries, list) else ():
            value = _value(entry)
            if value is None:
                return
            if not self.values:
                self._first = entry.get("top_logprobs")
            self.values.append(value)

    def probe(self, finish_reason: str | None, most: int | None = None) -> Probe | None:
        """Of the first tokens, `most` at most; None if there are none. A longer answer is not truncated, but long."""
        values = self.values[:most]
        truncated = finish_reason == "length" and len(values) == len(self.values)
        return Probe(values, _margin(self._first), truncated) if values else None


def without(choice: dict[str, Any]) -> bool:
    """Take them out; whether anything is left that a backend would have sent without them."""
    choice["logprobs"] = None
    return bool(choice.get("delta") or choice.get("finish_reason") or choice.get("token_ids"))


def _value(entry: Any) -> float | None:
    value = entry.get("logprob") if isinstance(entry, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def _margin(top: Any) -> float | None:
    """Between the two likeliest first tokens."""
    values = [value for one in top if (value := _value(one)) is not None] if isinstance(top, list) else []
    values.sort(reverse=True)
    return values[0] - values[1] if len(values) > 1 else None
