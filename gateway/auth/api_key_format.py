"""What a client shows: `tg-`, its key's id, and 256 random bits."""

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
    """A key's public name: it may stand in records, logs and commands."""
    return b32encode(secrets.token_bytes(_ID_BYTES)).decode().lower()


def new_secret(key_id: str) -> str:
    return f"tg-{key_id}-{secrets.token_urlsafe(_RANDOM_BYTES)}"


def key_id(shown: str) -> str | None:
    """The id of the key that a secret says it is of; None if it has not even the shape of one."""
    shape = _SHAPE.fullmatch(shown) if len(shown) <= LONGEST else None
    return shape[1] if shape else None


def shown(headers: Headers) -> str:
    """The secret, as OpenAI's clients send it or as Anthropic's do; empty if there is none.

    InvalidKey: a header of these comes more than once (then it has several lines), or the two show different secrets.
    Which one counts must not depend on who reads them.
    """
    authorization, key = headers.get("authorization", ""), headers.get("x-api-key", "")
    if "\n" in authorization or "\n" in key:
        raise InvalidKey("The request shows more than one API key: send one `Authorization` or `x-api-key` header.")
    if authorization[: len(_SCHEME)].lower() != _SCHEME:
        return key
    secret = authorization[len(_SCHEME) :].strip()
    if key and key != secret:
        raise InvalidKey("The request shows two API keys: `Authorization` and `x-api-key` differ.")
    return secret


def digest(secret: str) -> bytes:
    """All that is stored of a secret.

    One round of SHA-256 is right here, where it would be wrong for a password: nobody can guess his way through 256
    random bits, so a slow hash would only make each request dear.
    """
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
