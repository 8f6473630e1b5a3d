"""Byte n-grams of a text, hashed: they read any script and language, without words or a vocabulary.

Letters are folded to lower case and digits to one symbol, so that a gram says what a text is like, not which numbers it
has. Only the beginning and the end of a long text are read: what is asked stands there, and the rest is material.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_model.features.text_counts import folded

BITS = 18
BUCKETS = 1 << BITS
ORDERS = (2, 3, 4, 5)
# Bytes read from both ends.
_FIRST, _LAST = 3_000, 1_000
# Odd multipliers for hashes modulo 2**32; each order has its own hash of the same bytes.
_STEP, _MIX, _ORDER = np.uint32(0x07000559), np.uint32(0x9E3779B1), 0x85EBCA6B
_SHIFT = np.uint32(32 - BITS)
_TURN = {n: np.uint32(n * _ORDER & 0xFFFFFFFF) for n in ORDERS}
_MOST = 255
_LOGS = np.log1p(np.arange(_MOST + 1)).astype(np.float32)


class Grams(NamedTuple):
    """The distinct buckets of a text's grams, ascending, and log(1 + count) of each."""

    buckets: NDArray[np.uint32]
    counts: NDArray[np.float32]


def grams_of(text: bytes) -> Grams:
    """The hashed grams of UTF-8 text; white space counts as one space."""
    if len(text) > _FIRST + _LAST:
        text = text[:_FIRST] + b" " + text[-_LAST:]
    hashes = _hashes(b" " + b" ".join(folded(text).split()) + b" ")
    hashes.sort()
    first = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1])))
    counts = np.diff(first, append=len(hashes))
    return Grams(hashes[first], _LOGS.take(np.minimum(counts, _MOST)))


def _hashes(text: bytes) -> NDArray[np.uint32]:
    """The bucket of the gram of each order at each place."""
    each = np.frombuffer(text, np.uint8).astype(np.uint32)
    hashed, found = each, []
    for n in range(2, min(max(ORDERS), len(each)) + 1):
        hashed = hashed[:-1] * _STEP + each[n - 1 :]
        if n in _TURN:
            found.append(((hashed ^ _TURN[n]) * _MIX) >> _SHIFT)
    return np.concatenate(found)
