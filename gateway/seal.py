"""Thoughts that leave the gateway and come back: signed where the client may read them, sealed where it may not.

A signature is a hash under a secret (HMAC-SHA256): whoever lacks the secret cannot change a thought or make one up. A
sealed thought is encrypted and authenticated (AES-256-GCM), so that a client can carry what it cannot read.
"""

from __future__ import annotations

import binascii
import hmac
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# The first byte of what is made, and a part of what is hashed: one kind is never taken for the other, nor for what a
# later release makes.
_SIGNED, _SEALED = b"\x01", b"\x02"
_SALT, _NONCE, _TAG = 16, 12, 16


class Seal:
    """Of several secrets the first one signs and seals, and all of them verify and open: so they are rotated."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """At least one."""
        self._signing = [_derived(secret, b"thinkgate: sign a thought") for secret in secrets]
        self._sealing = [_derived(secret, b"thinkgate: seal a thought") for secret in secrets]

    def sign(self, text: str) -> str:
        """The signature of a thought that the client sees, in base64."""
        return _signature(self._signing[0], _bytes(text)).decode()

    def verify(self, text: str, signature: str) -> bool:
        """Whether this is what `sign` made of this very text. How long a no takes tells nothing of the right answer."""
        thought, shown = _bytes(text), _bytes(signature)
        return any(hmac.compare_digest(_signature(key, thought), shown) for key in self._signing)

    def close(self, text: str) -> str:
        """The thought itself, for nobody but us to read, in base64. Of the same thought it is another one each time."""
        salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
        cipher = _cipher(self._sealing[0], salt)
        sealed = _SEALED + salt + nonce + cipher.encrypt(nonce, _bytes(text), _SEALED)
        return binascii.b2a_base64(sealed, newline=False).decode()

    def open(self, sealed: str) -> str | None:
        """What `close` was given; None for anything that it has not made, or that was changed since."""
        try:
            raw = binascii.a2b_base64(_bytes(sealed), strict_mode=True)
        except binascii.Error:
            return None
        if raw[:1] != _SEALED or len(raw) < 1 + _SALT + _NONCE + _TAG:
            return None
        salt, nonce, hidden = raw[1 : 1 + _SALT], raw[1 + _SALT :][:_NONCE], raw[1 + _SALT + _NONCE :]
        for key in self._sealing:
            try:
                return _cipher(key, salt).decrypt(nonce, hidden, _SEALED).decode("utf-8", "surrogatepass")
            except InvalidTag:
                continue
        return None


def _derived(secret: str, purpose: bytes) -> bytes:
    """A key of 256 bits for one purpose only."""
    return hmac.digest(_bytes(secret), purpose, "sha256")


def _signature(key: bytes, thought: bytes) -> bytes:
    return binascii.b2a_base64(_SIGNED + hmac.digest(key, _SIGNED + thought, "sha256"), newline=False)


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    """With a key of its own for each thought: random nonces of 12 bytes alone would be safe for 2**32 thoughts only."""
    return AESGCM(hmac.digest(key, salt, "sha256"))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
