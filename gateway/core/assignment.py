"""Where a request belongs: the arm of its unit, and what a record may say of whom it came from."""

from __future__ import annotations

from typing import NamedTuple

from gateway.core.arm import Arm


class Assignment(NamedTuple):
    """`unit` and `user` are hashes, to group by and not to read; `user` is None where the client named nobody."""

    arm: Arm
    unit: str
    user: str | None
