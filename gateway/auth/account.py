"""Whose limits a request has to keep: those of its key, and of the key's team."""

from __future__ import annotations

from typing import NamedTuple

from gateway.auth.limits import Budget


class Account(NamedTuple):
    """`slot` is its row in the usage counters, `whose` the owner in messages to clients: `key`, or `team research`."""

    slot: int
    limits: Budget
    whose: str = "key"
