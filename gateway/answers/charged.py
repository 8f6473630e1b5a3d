"""Usage as the client is told it, where a probe was thrown away: its tokens were thought in vain, and count as thought.

They are added to the tokens of the completion, to all tokens, and to those of thinking where the backend counts them.
The prompt is counted once, though two requests had it.
"""

from __future__ import annotations

from typing import Any

from gateway.answers.chat_answer import dumped
from gateway.answers.teller import Hearer


def charge(told: dict[str, Any], tokens: int) -> bool:
    """Add them to the usage of an answer, or of a piece of a stream; whether there is any."""
    usage = told.get("usage")
    if not isinstance(usage, dict):
        return False
    _add(usage, ("completion_tokens", "total_tokens"), tokens)
    details = usage.get("completion_tokens_details")
    if isinstance(details, dict):
        _add(details, ("reasoning_tokens",), tokens)
    return True


def _add(counts: dict[str, Any], names: tuple[str, ...], tokens: int) -> None:
    for name in names:
        if type(counts.get(name)) is int:
            counts[name] += tokens


class Charged:
    """Hears a stream for another one, who is told of the tokens as well."""

    def __init__(self, hearer: Hearer, tokens: int) -> None:
        self._hearer = hearer
        self._tokens = tokens

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        if charge(chunk, self._tokens):
            event = b"data: " + dumped(chunk) + b"\n\n"
        return self._hearer.event(chunk, event)
