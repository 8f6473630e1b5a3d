"""The features of a request as text for its record: enough to learn from later, and no word of the prompt.

A row holds counts and sums over a prompt's terms; which terms they were cannot be read from it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from router_model.model.need import Need
from router_model.model.request_encoding import EncodedRequest
from router_model.model.trees import F32

# Half precision: the counts are logarithms and the directions lie near 0.
_STORED = np.dtype("<f2")


class KeptFeatures(NamedTuple):
    """`encoding` names the vocabulary and the directions that made `row`: rows of one encoding can be compared."""

    encoding: str
    row: F32
    novelty: float

    @property
    def group(self) -> str:
        """Equal for equal prompts."""
        return blake2b(self.row.tobytes(), digest_size=8).hexdigest()


def encoding_of(vocabulary: Mapping[bytes, int], projection: F32, need: Need | None) -> str:
    """Eight hexadecimal digits: the same for artifacts that read requests alike."""
    digest = blake2b(digest_size=4)
    for term in vocabulary:
        digest.update(term + b"\n")
    digest.update(np.ascontiguousarray(projection, np.float32).tobytes())
    for array in need.arrays().values() if need is not None else ():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def dump(encoding: str, reading: EncodedRequest) -> str:
    numbers = np.concatenate([[reading.novelty], reading.row]).astype(_STORED)
    return f"{encoding}.{b64encode(numbers.tobytes()).decode()}"


def load(text: str) -> KeptFeatures | None:
    """None: it is damaged."""
    encoding, _, numbers = text.partition(".")
    try:
        values = np.frombuffer(b64decode(numbers, validate=True), _STORED).astype(np.float32)
    except (binascii.Error, ValueError):
        return None
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    return KeptFeatures(encoding, values[1:], float(values[0]))
