"""Draws of chance that can be repeated: a function of what they are for."""

from __future__ import annotations

from hashlib import blake2b
from statistics import NormalDist

STANDARD = NormalDist()


def uniform(seed: str) -> float:
    """A number in (0,1) from a 53-bit hash of the seed: all that a float holds."""
    digest = blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> 11) + 0.5) / 2**53


def normal(seed: str) -> float:
    """A draw from the standard normal distribution."""
    return STANDARD.inv_cdf(uniform(seed))
