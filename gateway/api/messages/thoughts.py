"""Thoughts as blocks: how they leave, and what must be true of those that come back.

A block of another model is left out, as Anthropic's API does it; one that was made for another key, or by nobody, is
refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.api.dropped_thoughts import DroppedThoughts
from gateway.api.fields import Fields
from gateway.auth.seal import BoundSeal, ForeignSeal
from gateway.core.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Thoughts:
    """`omitted`: the client sees nothing of a thought, and its signature carries it."""

    seal: BoundSeal
    omitted: bool = False

    def signature(self, thought: str) -> str:
        return self.seal.close(thought) if self.omitted else self.seal.sign(thought)

    def block(self, thought: str) -> dict[str, Any]:
        shown = "" if self.omitted else thought
        return {"type": "thinking", "thinking": shown, "signature": self.signature(thought)}


class ThoughtReader:
    """Reads those of one request. `left_out` are the ones that were made here, but for another model."""

    def __init__(self, seal: BoundSeal) -> None:
        self._seal = seal
        self.left_out = DroppedThoughts()

    def read(self, block: Fields) -> str:
        """The thought of a `thinking` or `redacted_thinking` block, byte for byte as the model had it; empty: left out.

        InvalidRequest: we have not made it for this key, or it was changed since.
        """
        if block.any("type") == "redacted_thinking":
            return self._opened(block.required("data"), block.param("data"))
        shown, signature = block.required("thinking"), block.required("signature")
        if not shown:
            return self._opened(signature, block.param("signature"))
        found = self._seal.verify(shown, signature)
        if not found:
            raise _forged(block.param("signature"))
        return shown if found is True else self._leave_out(found)

    def _opened(self, sealed: str, param: str) -> str:
        thought = self._seal.open(sealed)
        if thought is None:
            raise _forged(param)
        return thought if isinstance(thought, str) else self._leave_out(thought)

    def _leave_out(self, why: ForeignSeal) -> str:
        self.left_out.add(why)
        return ""


def _forged(param: str) -> InvalidRequest:
    message = "is not valid: thinking blocks must come back as they were sent, with the same API key, or be left out."
    return InvalidRequest(f"{param} {message}", param=param, code="invalid_signature")
