"""Usage as reported to the client where a probe was discarded.

Its tokens are reported as `rejected_prediction_tokens`, OpenAI's field for tokens that were generated and are paid for,
but are not in the answer. They are included in the completion tokens, and not in the reasoning tokens, which have their
own budget. The prompt is counted once, although two requests contained it.
"""

from __future__ import annotations

from typing import Any

from gateway.backends.chat_answer import dumped
from gateway.execution.streaming.encoder import EventSink


def add_probe_usage(body: dict[str, Any], tokens: int) -> bool:
    """Add the tokens to the usage of an answer or of a chunk; returns whether it has any."""
    usage = body.get("usage")
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
    """Wraps a sink, and adds the probe's tokens to the usage that it receives."""

    def __init__(self, sink: EventSink, tokens: int) -> None:
        self._sink = sink
        self._tokens = tokens

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        if add_probe_usage(chunk, self._tokens):
            event = b"data: " + dumped(chunk) + b"\n\n"
        return self._sink.event(chunk, event)
