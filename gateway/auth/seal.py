"""Authenticates reasoning that clients send back: signed where they may read it, sealed where they may not.

A signature (HMAC-SHA256) makes reasoning unforgeable without the secret. A seal (AES-256-GCM) also encrypts it, so that
a client can carry what it cannot read. Both are bound to the API key and the model: they are not valid for another key,
and reasoning of another model is distinguished from a forgery.
"""

from __future__ import annotations

import binascii
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# The first byte of the output, also authenticated, so that kinds and releases cannot be confused. Those of earlier
# releases were bound to no key.
_SIGNED, _SEALED = b"\x03", b"\x04"
_EARLIER = {b"\x01": 33, b"\x02": 45}
_SALT, _NONCE, _TAG, _MODEL = 16, 12, 16, 16


class ForeignSeal(Enum):
    """Why genuine reasoning is not reused: it is dropped, and a note tells the client."""

    MODEL = "another model's"
    RELEASE = "an earlier release's"


class Seal:
    """The first secret signs and seals, all of them verify and open: this allows rotation."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """At least one."""
        self.signing = [_derived(secret, b"thinkgate: sign a thought") for secret in secrets]
        self._salting = _derived(secrets[0], b"thinkgate: salt a cache")
        self.sealing = [_derived(secret, b"thinkgate: seal a thought") for secret in secrets]

    def salt(self, key: str) -> str:
        """The prompt-cache salt of a key: unique per key, and not derivable from the key's id."""
        return _base64(hmac.digest(self._salting, _bytes(key), "sha256"))

    def bound(self, key: str | None, model: str) -> BoundSeal:
        """Bound to a key's id (None where no keys are required) and a public model."""
        return BoundSeal(self, _bytes(key or ""), _named(model))


@dataclass(frozen=True, slots=True)
class BoundSeal:
    """`key` and `model` are what reasoning is bound to; `model` is a hash of the name."""

    seal: Seal
    key: bytes
    model: bytes

    def sign(self, text: str) -> str:
        """The signature, in base64, of reasoning that the client sees."""
        return _base64(_SIGNED + self.model + self._signature(self.seal.signing[0], self.model, _bytes(text)))

    def verify(self, text: str, signature: str) -> bool | ForeignSeal:
        """Whether `sign` returned this signature for this text; compared in constant time."""
        raw = _raw(signature)
        if raw[:1] != _SIGNED:
            return ForeignSeal.RELEASE if _is_earlier(raw) else False
        model, shown, thought = raw[1 : 1 + _MODEL], raw[1 + _MODEL :], _bytes(text)
        if not any(hmac.compare_digest(self._signature(key, model, thought), shown) for key in self.seal.signing):
            return False
        return model == self.model or ForeignSeal.MODEL

    def close(self, text: str) -> str:
        """The reasoning, encrypted, in base64; different each time, even for the same text."""
        salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
        hidden = _cipher(self.seal.sealing[0], salt).encrypt(nonce, _bytes(text), self._bound_to(_SEALED, self.model))
        return _base64(_SEALED + self.model + salt + nonce + hidden)

    def open(self, sealed: str) -> str | ForeignSeal | None:
        """What `close` was given; None if it was not sealed for this key, or was modified."""
        raw = _raw(sealed)
        if raw[:1] != _SEALED:
            return ForeignSeal.RELEASE if _is_earlier(raw) else None
        model, raw = raw[1 : 1 + _MODEL], raw[1 + _MODEL :]
        salt, nonce, hidden = raw[:_SALT], raw[_SALT:][:_NONCE], raw[_SALT + _NONCE :]
        if len(hidden) < _TAG:
            return None
        for key in self.seal.sealing:
            try:
                thought = _cipher(key, salt).decrypt(nonce, hidden, self._bound_to(_SEALED, model))
            except InvalidTag:
                continue
            return thought.decode("utf-8", "surrogatepass") if model == self.model else ForeignSeal.MODEL
        return None

    def _signature(self, key: bytes, model: bytes, thought: bytes) -> bytes:
        return hmac.digest(key, self._bound_to(_SIGNED, model) + thought, "sha256")

    def _bound_to(self, kind: bytes, model: bytes) -> bytes:
        """The associated data. Its parts are of fixed length or length-prefixed."""
        return kind + model + len(self.key).to_bytes(4) + self.key


def _named(model: str) -> bytes:
    """A model's name, hashed to a fixed length."""
    return hmac.digest(b"thinkgate: a model's name", _bytes(model), "sha256")[:_MODEL]


def _is_earlier(raw: bytes) -> bool:
    """Whether it has an earlier release's format. That needs no proof: such reasoning is only left out."""
    least = _EARLIER.get(raw[:1])
    return least is not None and (len(raw) == least if raw[:1] == b"\x01" else len(raw) >= least)


def _derived(secret: str, purpose: bytes) -> bytes:
    """A key of 256 bits for one purpose only."""
    return hmac.digest(_bytes(secret), purpose, "sha256")


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    """A cipher with its own key for each text: random 12-byte nonces under one key are safe for only 2**32 texts."""
    return AESGCM(hmac.digest(key, salt, "sha256"))


def _base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


def _raw(text: str) -> bytes:
    """The decoded bytes; empty if the text is not base64."""
    try:
        return binascii.a2b_base64(_bytes(text), strict_mode=True)
    except binascii.Error:
        return b""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
