"""Whose records and responses are meant, when they are to be removed."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.unit import among_keys, unit_hash


@dataclass(frozen=True, slots=True)
class Subject:
    """A key, by its id, a user, by the name that requests give, or a user of a key."""

    key: str | None = None
    user: str | None = None

    def hashes(self, keys: set[str | None]) -> list[str]:
        """What records keep of the user, with each of these keys."""
        if self.user is None:
            return []
        return [unit_hash(among_keys(self.user, key)) for key in ({self.key} if self.key is not None else keys)]
