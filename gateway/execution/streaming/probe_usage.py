"""Usage as reported to the client where a probe was discarded.

Its tokens are told as `rejected_prediction_tokens`, OpenAI's word for what was written, is paid for, and is no part of
the answer; like those they are among the tokens of the completion, and no part of the thought, which has a budget of
its own. The prompt is counted once, though two requests had it.
"""

from __future__ import annotations

from typing import Any

from gateway.backends.chat_answer import dumped
from gateway.execution.streaming.encoder import EventSink


def add_probe_usage(told: dict[str, Any], tokens: int) -> bool:
    """Add them to the usage of an answer, or of a piece of a stream; whether there is any."""
    usage = told.get("usage")
    if not isinstance(usage, dict):
        return False
    for name in ("completion_tokens", "total_tokens"):
        if type(usage.get(name)) is int:
            usage[name] += tokens
    details = usage.get("completion_tokens_details")
    usage["completion_tokens_details"] = {
        **(details if isinstance(details, dict) else {}),
        "rejected_prediction_tokens": tokens,
    }
    return True


class WithProbeUsage:
    """Hears a stream for another one, who is told of the tokens as well."""

    def __init__(self, sink: EventSink, tokens: int) -> None:
        self._sink = sink
        self._tokens = tokens

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        if add_probe_usage(chunk, self._tokens):
            event = b"data: " + dumped(chunk) + b"\n\n"
        return self._sink.event(chunk, event)
