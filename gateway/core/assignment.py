"""The arm of a request, and pseudonyms of its sender for the record."""

from __future__ import annotations

from typing import NamedTuple

from gateway.core.arm import Arm


class Assignment(NamedTuple):
    """`unit`, `user` and `session` are hashes to group by; the latter two are None where the client named none.
    `experiment` is the one that assigned the arm, None where none runs.
    """

    arm: Arm
    unit: str
    user: str | None
    experiment: str | None = None
    session: str | None = None
