"""What an experiment assigns: a conversation, a user or a request, named among those of all keys."""

from __future__ import annotations

from hashlib import blake2b


def among_keys(unit: str, key: str | None) -> str:
    """A unit's name among those of all keys: the same user of two keys is two."""
    return unit if key is None else f"{key}\n{unit}"


def unit_hash(unit: str) -> str:
    """What a record keeps of a unit: enough to group by, nothing to read."""
    return blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
