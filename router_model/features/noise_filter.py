"""Removes novel lines around a familiar question, so that they do not count as part of the task.

A decoy in a retrieved page, or noise on a line of its own, would otherwise change the features. Novelty is still
measured on the whole text: removed lines are not trusted, they are only not read as the question.
"""

from __future__ import annotations

from collections.abc import Mapping

from router_model.features.request import terms_of

# Below this novelty of a request there is no line that would be worth looking for.
SUSPECT = 0.1
# Shares of unknown terms: a line with more is left out, where all others together have no more than the second.
NOVEL_LINE, FAMILIAR = 0.6, 0.2
# Bytes; a decision must not take longer than it does for the longest text.
LONGEST = 8192


def filtered(question: bytes, vocabulary: Mapping[bytes, int], distinct: int) -> bytes | None:
    """The question without its novel lines; None where there are none, or where without them nothing familiar is left.

    `distinct`: how many terms the whole request has.
    """
    lines = question.split(b"\n")
    if len(lines) < 2 or len(question) > LONGEST:
        return None
    kept, terms, unknown = [], set[bytes](), 0
    for line in lines:
        found = terms_of(line)
        new = found.difference(vocabulary)
        if len(new) <= NOVEL_LINE * len(found):
            kept.append(line)
            terms |= found
            unknown += len(new)
            if unknown > 2 * FAMILIAR * distinct:
                return None  # it will not be familiar, and the time is better saved
    if len(kept) == len(lines) or not terms or len(terms.difference(vocabulary)) > FAMILIAR * len(terms):
        return None
    return b"\n".join(kept)
