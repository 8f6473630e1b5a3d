"""Removes novel lines around a familiar question, so that they do not count as part of the task.

A decoy in a retrieved page, or noise on a line of its own, would otherwise change the features. Novelty is still
measured on the whole text: removed lines are not trusted, they are only not read as the question.
"""

from __future__ import annotations

from collections.abc import Mapping

from router_model.features.text_counts import terms_of

# Requests below this novelty are not searched for novel lines.
SUSPECT = 0.1
# Shares of unknown terms: a line above the first is removed if all remaining lines together are below the second.
NOVEL_LINE, FAMILIAR = 0.6, 0.2
# Bytes; longer questions are not filtered, to bound the time of a decision.
LONGEST = 8192


def filtered(question: bytes, vocabulary: Mapping[bytes, int], distinct: int) -> bytes | None:
    """The question without its novel lines; None if there are none, or if the rest is not familiar.

    `distinct` is the number of distinct terms of the whole request.
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
                return None  # the rest cannot be familiar any more
    if len(kept) == len(lines) or not terms or len(terms.difference(vocabulary)) > FAMILIAR * len(terms):
        return None
    return b"\n".join(kept)
