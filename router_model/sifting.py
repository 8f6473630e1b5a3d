"""What is around a familiar question and has nothing to do with anything the router knows: left out of what it counts.

A decoy in a retrieved page, or noise on a line of its own, would else count as part of the task. Novelty is still that
of the whole text: what is left out is not trusted, only not taken for the question.
"""

from __future__ import annotations

from collections.abc import Container

from router_model.features import terms_of

# Below this novelty of a request there is no line that would be worth looking for.
SUSPECT = 0.1
# Shares of unknown terms: a line with more is left out, where all others together have no more than the second.
STRANGE_LINE, FAMILIAR = 0.6, 0.2
# Bytes; a decision must not take longer than it does for the longest text.
LONGEST = 8192


def sifted(question: bytes, vocabulary: Container[bytes]) -> bytes | None:
    """The question without strange lines; None where there are none, or where without them nothing familiar is left."""
    lines = question.split(b"\n")
    if len(lines) < 2 or len(question) > LONGEST:
        return None
    kept, terms = [], set[bytes]()
    for line in lines:
        found = terms_of(line)
        if _unknown(found, vocabulary) <= STRANGE_LINE:
            kept.append(line)
            terms |= found
    if len(kept) == len(lines) or not terms or _unknown(terms, vocabulary) > FAMILIAR:
        return None
    return b"\n".join(kept)


def _unknown(terms: set[bytes], vocabulary: Container[bytes]) -> float:
    return sum(term not in vocabulary for term in terms) / len(terms) if terms else 0.0
