"""Which arm a unit belongs to. Pure: a unit lands in the same arm on every worker and after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from gateway.core.arm import Arm


def position(unit: str, salt: str) -> float:
    """The place of a unit in [0,1): a 64-bit hash divided by 2**64, salted so that experiments are independent."""
    digest = blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=8, key=salt.encode()[:64]).digest()
    # The top 53 bits are what a float holds: dividing all 64 would round the largest hashes up to exactly 1.
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def arm_at(u: float, arms: Sequence[Arm]) -> Arm:
    """The arm that covers u in [0,1) when the arms, in order, share the interval by their weights."""
    total = sum(arm.weight for arm in arms)
    edge = 0.0
    for arm in arms:
        edge += arm.weight / total
        if u < edge:
            return arm
    return arms[-1]


def assign(unit: str, salt: str, arms: Sequence[Arm]) -> Arm:
    """The arm of a unit; free when there is only one."""
    return arms[0] if len(arms) == 1 else arm_at(position(unit, salt), arms)
