"""Thoughts that leave the gateway and come back: signed where the client may read them, sealed where it may not.

A signature is a hash under a secret (HMAC-SHA256): whoever lacks the secret cannot change a thought or make one up. A
sealed thought is encrypted and authenticated (AES-256-GCM), so that a client can carry what it cannot read. Both are
bound to the API key that the thought was made for, and to the model that had it: what one key was given opens for no
other, and a thought of another model is told apart from one that was forged.
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

# The first byte of what is made, and a part of what is hashed: one kind is never taken for the other, nor for what a
# later release makes. Those of earlier releases were bound to no key.
_SIGNED, _SEALED = b"\x03", b"\x04"
_EARLIER = {b"\x01": 33, b"\x02": 45}
_SALT, _NONCE, _TAG, _MODEL = 16, 12, 16, 16


class ForeignSeal(Enum):
    """Why a thought that this gateway made is not taken up: it is left out, and the client is told."""

    MODEL = "another model's"
    RELEASE = "an earlier release's"


class Seal:
    """Of several secrets the first one signs and seals, and all of them verify and open: so they are rotated."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """At least one."""
        self.signing = [_derived(secret, b"thinkgate: sign a thought") for secret in secrets]
        self._salting = _derived(secrets[0], b"thinkgate: salt a cache")
        self.sealing = [_derived(secret, b"thinkgate: seal a thought") for secret in secrets]

    def salt(self, key: str) -> str:
        """What a key's prompts are cached under: one for each key, which nobody can guess who knows the key's id."""
        return _base64(hmac.digest(self._salting, _bytes(key), "sha256"))

    def bound(self, key: str | None, model: str) -> BoundSeal:
        """For thoughts of a public model and the holder of a key, named by its id; None where no keys are asked for."""
        return BoundSeal(self, _bytes(key or ""), _named(model))


@dataclass(frozen=True, slots=True)
class BoundSeal:
    """`key` and `model` are what thoughts are bound to; `model` is a hash of the name."""

    seal: Seal
    key: bytes
    model: bytes

    def sign(self, text: str) -> str:
        """The signature of a thought that the client sees, in base64."""
        return _base64(_SIGNED + self.model + self._signature(self.seal.signing[0], self.model, _bytes(text)))

    def verify(self, text: str, signature: str) -> bool | ForeignSeal:
        """Whether this is what `sign` made of this very text. How long a no takes tells nothing of the right answer."""
        raw = _raw(signature)
        if raw[:1] != _SIGNED:
            return ForeignSeal.RELEASE if _is_earlier(raw) else False
        model, shown, thought = raw[1 : 1 + _MODEL], raw[1 + _MODEL :], _bytes(text)
        if not any(hmac.compare_digest(self._signature(key, model, thought), shown) for key in self.seal.signing):
            return False
        return model == self.model or ForeignSeal.MODEL

    def close(self, text: str) -> str:
        """The thought itself, for nobody but us to read, in base64. Of the same thought it is another one each time."""
        salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
        hidden = _cipher(self.seal.sealing[0], salt).encrypt(nonce, _bytes(text), self._bound_to(_SEALED, self.model))
        return _base64(_SEALED + self.model + salt + nonce + hidden)

    def open(self, sealed: str) -> str | ForeignSeal | None:
        """What `close` was given; None for anything that it has not made for this key, or that was changed since."""
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
        """What is authenticated besides the thought. Its parts have a length of their own or say it."""
        return kind + model + len(self.key).to_bytes(4) + self.key


def _named(model: str) -> bytes:
    """A model's name in a fixed length."""
    return hmac.digest(b"thinkgate: a model's name", _bytes(model), "sha256")[:_MODEL]


def _is_earlier(raw: bytes) -> bool:
    """Whether it has the form of an earlier release. It is left out, as anybody may leave a thought out: no proof."""
    least = _EARLIER.get(raw[:1])
    return least is not None and (len(raw) == least if raw[:1] == b"\x01" else len(raw) >= least)


def _derived(secret: str, purpose: bytes) -> bytes:
    """A key of 256 bits for one purpose only."""
    return hmac.digest(_bytes(secret), purpose, "sha256")


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    """With a key of its own for each thought: random nonces of 12 bytes alone would be safe for 2**32 thoughts only."""
    return AESGCM(hmac.digest(key, salt, "sha256"))


def _base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


def _raw(text: str) -> bytes:
    """Empty for what is no base64."""
    try:
        return binascii.a2b_base64(_bytes(text), strict_mode=True)
    except binascii.Error:
        return b""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
