"""Thoughts as blocks: how they leave, and what must be true of those that come back."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.api.messages import fields
from gateway.api.messages.fields import Json, at
from gateway.errors import InvalidRequest
from gateway.seal import Seal


@dataclass(frozen=True, slots=True)
class Thoughts:
    """`omitted`: the client sees nothing of a thought, and its signature carries it."""

    seal: Seal
    omitted: bool = False

    def signature(self, thought: str) -> str:
        return self.seal.close(thought) if self.omitted else self.seal.sign(thought)

    def block(self, thought: str) -> Json:
        shown = "" if self.omitted else thought
        return {"type": "thinking", "thinking": shown, "signature": self.signature(thought)}


def read_thought(block: Json, where: str, seal: Seal) -> str:
    """The thought of a `thinking` or `redacted_thinking` block, byte for byte as the model had it.

    InvalidRequest: we have not made it, or it was changed since.
    """
    if block["type"] == "redacted_thinking":
        return _opened(fields.text(block, "data", where), at(where, "data"), seal)
    shown, signature = fields.text(block, "thinking", where), fields.text(block, "signature", where)
    if not shown:
        return _opened(signature, at(where, "signature"), seal)
    if not seal.verify(shown, signature):
        raise _forged(at(where, "signature"))
    return shown


def _opened(sealed: str, param: str, seal: Seal) -> str:
    thought = seal.open(sealed)
    if thought is None:
        raise _forged(param)
    return thought


def _forged(param: str) -> InvalidRequest:
    message = "is not valid: thinking blocks must come back as they were sent, or be left out."
    return InvalidRequest(f"{param} {message}", param=param, code="invalid_signature")
