"""An API key: its name, validity and limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest

from gateway.auth.account import Account
from gateway.auth.limits import Limits
from gateway.auth.team import Team

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret's SHA-256, and when it expires: seconds since 1970; None: with its key."""

    digest: bytes = field(repr=False)
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """`slot` is its row in the usage counters; times are in seconds since 1970. Newest secret first."""

    slot: int
    id: str
    name: str
    created: float
    expires: float | None
    revoked: float | None
    limits: Limits
    secrets: tuple[Secret, ...] = ()
    team: Team | None = None

    @property
    def team_name(self) -> str | None:
        return None if self.team is None else self.team.name

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Its own limits first, then those of its team."""
        own = Account(self.slot, self.limits)
        return (own,) if self.team is None else (own, self.team.account)

    def opened_by(self, digest: bytes, now: float) -> bool:
        """Whether this is one of its live secrets. All are compared, in constant time."""
        found = False
        for secret in self.secrets:
            live = secret.expires is None or now < secret.expires
            found |= compare_digest(secret.digest, digest) and live
        return found

    def state(self, now: float) -> str:
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and now >= self.expires else "live"
