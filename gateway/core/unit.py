"""Units of an experiment: a conversation, a user or a request, unique over all keys."""

from __future__ import annotations

from hashlib import blake2b

# In characters: the hash of a longer name stands for it, as it is copied and stored more than once.
LONGEST_NAME = 1024
PIECE = 64 * 1024


def short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"hash:{unit_hash(name)}"


def among_keys(unit: str, key: str | None) -> str:
    """A unit's name qualified by its key: equal users of two keys are distinct."""
    return short(unit) if key is None else f"{key}\n{short(unit)}"


def unit_hash(unit: str) -> str:
    """The hash of a unit for records."""
    digest = blake2b(digest_size=8)
    # In pieces: a long name is not to be copied whole.
    for start in range(0, len(unit), PIECE):
        digest.update(unit[start : start + PIECE].encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
