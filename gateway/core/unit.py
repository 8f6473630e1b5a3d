"""Units of an experiment: a conversation, a user or a request, unique over all keys."""

from __future__ import annotations

from hashlib import blake2b


def among_keys(unit: str, key: str | None) -> str:
    """A unit's name qualified by its key: equal users of two keys are distinct."""
    return unit if key is None else f"{key}\n{unit}"


def unit_hash(unit: str) -> str:
    """The hash of a unit for records."""
    return blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
