"""Creates signed thinking blocks, and verifies those that clients send back.

A block of another model is dropped, as in Anthropic's API; a block for another key or with an invalid signature is
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
    """`omitted`: the text is hidden from the client and encrypted in the signature."""

    seal: BoundSeal
    omitted: bool = False

    def signature(self, thought: str) -> str:
        return self.seal.close(thought) if self.omitted else self.seal.sign(thought)

    def block(self, thought: str) -> dict[str, Any]:
        shown = "" if self.omitted else thought
        return {"type": "thinking", "thinking": shown, "signature": self.signature(thought)}


class ThoughtReader:
    """Reads the thinking blocks of one request. `dropped` counts valid ones of other models or releases."""

    def __init__(self, seal: BoundSeal) -> None:
        self._seal = seal
        self.dropped = DroppedThoughts()

    def read(self, block: Fields) -> str:
        """The text of a `thinking` or `redacted_thinking` block, exactly as generated; empty if it is dropped.

        InvalidRequest: it was not issued for this key, or was modified.
        """
        if block.any("type") == "redacted_thinking":
            return self._opened(block.required("data"), block.param("data"))
        shown, signature = block.required("thinking"), block.required("signature")
        if not shown:
            return self._opened(signature, block.param("signature"))
        found = self._seal.verify(shown, signature)
        if not found:
            raise _forged(block.param("signature"))
        return shown if found is True else self._drop(found)

    def _opened(self, sealed: str, param: str) -> str:
        thought = self._seal.open(sealed)
        if thought is None:
            raise _forged(param)
        return thought if isinstance(thought, str) else self._drop(thought)

    def _drop(self, why: ForeignSeal) -> str:
        self.dropped.add(why)
        return ""


def _forged(param: str) -> InvalidRequest:
    message = "is not valid: thinking blocks must be sent back unchanged with the same API key, or be left out."
    return InvalidRequest(f"{param} {message}", param=param, code="invalid_signature")
