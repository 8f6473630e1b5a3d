"""The format of API keys: `tg-`, the key's id, and 256 random bits."""

from __future__ import annotations

import re
import secrets
from base64 import b32encode
from hashlib import sha256

from gateway.core.aliases import Headers
from gateway.core.errors import InvalidKey

LONGEST = 128
_ID_BYTES, _RANDOM_BYTES = 10, 32
_SCHEME = "bearer "
_SHAPE = re.compile(r"tg-([a-z2-7]{16})-[A-Za-z0-9_-]{43}")


def new_id() -> str:
    """A key's public id; it may appear in records, logs and commands."""
    return b32encode(secrets.token_bytes(_ID_BYTES)).decode().lower()


def new_secret(key_id: str) -> str:
    return f"tg-{key_id}-{secrets.token_urlsafe(_RANDOM_BYTES)}"


def key_id(shown: str) -> str | None:
    """The key id that a secret names; None if the secret is malformed."""
    shape = _SHAPE.fullmatch(shown) if len(shown) <= LONGEST else None
    return shape[1] if shape else None


def shown(headers: Headers) -> str:
    """The secret from the OpenAI or Anthropic header; empty if there is none.

    InvalidKey: one of these headers is repeated (its value then has several lines), or the two disagree. Which one
    counts must not depend on the reader.
    """
    authorization, key = headers.get("authorization", ""), headers.get("x-api-key", "")
    if "\n" in authorization or "\n" in key:
        raise InvalidKey("The request has more than one API key: send one `Authorization` or `x-api-key` header.")
    if authorization[: len(_SCHEME)].lower() != _SCHEME:
        return key
    secret = authorization[len(_SCHEME) :].strip()
    if key and key != secret:
        raise InvalidKey("The request has two API keys: `Authorization` and `x-api-key` differ.")
    return secret


def digest(secret: str) -> bytes:
    """The hash of a secret, the only part of it that is stored.

    One round of SHA-256 suffices, unlike for a password: 256 random bits cannot be guessed, so a slow hash would
    only make each request more expensive.
    """
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
