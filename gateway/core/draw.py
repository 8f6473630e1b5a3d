"""Draws of chance that can be repeated: from a seed and what they are for."""

from __future__ import annotations

from hashlib import blake2b
from statistics import NormalDist

STANDARD = NormalDist()


def uniform(what: str, seed: str) -> float:
    """A number in [0,1) from a 64-bit hash of `what`, keyed by the seed so that draws for other seeds are independent.

    The top 53 bits are what a float holds: dividing all 64 would round the largest hashes up to exactly 1.
    """
    digest = blake2b(what.encode("utf-8", "surrogatepass"), digest_size=8, key=seed.encode()[:64]).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def normal(what: str, seed: str) -> float:
    """A draw from the standard normal distribution."""
    return STANDARD.inv_cdf(uniform(what, seed) + 2**-54)
