"""How much a request looks like those that gain from thinking: a linear score of the grams and counts of its ask.

It is one number, an input of the trees beside all others. It is fitted on graded prompts of many kinds of work and
languages (`router_model.adapting.need_fitting`), and says nothing about any deployment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_model.features.grams import BUCKETS, grams_of
from router_model.features.request import TEXT_COUNTS

F32 = NDArray[np.float32]
# Counts further from their mean than so many standard deviations are no more than that.
FURTHEST = 3.0
# Names in the artifact.
ARRAYS = ("need_weights", "need_familiar", "need_counts", "need_centre", "need_spread", "need_line")


class NeedScore(NamedTuple):
    """`score`: on the scale of the grades it was fitted on; `novelty`: the share of grams that few prompts had."""

    score: float
    novelty: float


@dataclass(frozen=True, slots=True)
class Need:
    """`weights` [BUCKETS] of grams, times `scale`; `familiar` [BUCKETS]: 1 where more prompts had a gram than chance
    puts there. `counts`, `centre`, `spread` [TEXT_COUNTS]: weights, means and standard deviations of the counts.
    """

    weights: NDArray[np.int8]
    scale: float
    familiar: NDArray[np.uint8]
    counts: F32
    centre: F32
    spread: F32
    offset: float

    def __call__(self, ask: bytes, dense: Sequence[float]) -> NeedScore:
        """Of what is asked, and its counts (the first TEXT_COUNTS of `dense`)."""
        buckets, logs = grams_of(ask)
        # One division for the length of the vector, instead of one for each gram.
        grams = float(self.weights.take(buckets) @ logs) / sqrt(float(logs @ logs))
        away = (np.array(dense[:TEXT_COUNTS], np.float32) - self.centre) / self.spread
        counted = float(np.minimum(np.maximum(away, -FURTHEST), FURTHEST) @ self.counts)
        familiar = int(np.add.reduce(self.familiar.take(buckets), dtype=np.int64))
        return NeedScore(self.offset + self.scale * grams + counted, 1 - familiar / len(buckets))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "need_weights": self.weights,
            "need_familiar": np.packbits(self.familiar),
            "need_counts": self.counts,
            "need_centre": self.centre,
            "need_spread": self.spread,
            "need_line": np.array([self.scale, self.offset]),
        }


def of_arrays(arrays: Mapping[str, NDArray[Any]]) -> Need | None:
    """The inverse of `arrays`; None: there is none. ValueError: they do not fit."""
    if ARRAYS[0] not in arrays:
        return None
    weights, bits, counts, centre, spread, line = (arrays[name] for name in ARRAYS)
    shapes = [part.shape for part in (weights, bits, counts, centre, spread, line)]
    counted = (TEXT_COUNTS,)
    if shapes != [(BUCKETS,), (BUCKETS // 8,), counted, counted, counted, (2,)] or (spread <= 0).any():
        raise ValueError("the need has the wrong shape")
    if weights.dtype != np.int8 or bits.dtype != np.uint8:
        raise ValueError("the need has the wrong type")
    scale, offset = map(float, line)
    counts, centre, spread = (part.astype(np.float32) for part in (counts, centre, spread))
    return Need(weights, scale, np.unpackbits(bits), counts, centre, spread, offset)
