"""A team: limits over several keys together."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.auth.account import Account
from gateway.auth.limits import Budget


@dataclass(frozen=True, slots=True)
class Team:
    """`slot` is its row in the usage counters; `created` is in seconds since 1970."""

    slot: int
    name: str
    created: float
    limits: Budget

    @property
    def account(self) -> Account:
        return Account(self.slot, self.limits, f"team {self.name}")
