"""What a pair of answers says, as outcomes of the request.

`changed` is 1 where thinking more or less has changed the answer, `varied` where the same effort gave another one:
disagreement says of neither that it is the better one. `preferred` belongs to both answers, from the judge: 1 to the
better one, 0 to the other, one half to each if it cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from gateway.core.outcome_row import OutcomeRow
from gateway.execution.answer_scoring import outcome_of
from gateway.paired.judgement import Judgement
from gateway.paired.shadow_pair import ShadowPair
from gateway.verification.agreement.agreement import Agreement

SOURCE, JUDGE = "shadow", "shadow:judge"
CHANGED, VARIED, PREFERRED = "changed", "varied", "preferred"
# Longer texts are not kept.
MOST_BYTES = 65_536
_SCORES = {"first": (1.0, 0.0), "second": (0.0, 1.0), "tie": (0.5, 0.5)}


def texts(pair: ShadowPair, other: str) -> str | None:
    """The request's messages and both answers as JSON, to be kept with the outcome. None: they are too long, are no
    Unicode, or the client wants nothing stored.
    """
    if pair.call.stores is False:
        return None
    kept = {"messages": pair.call.body.get("messages"), "answers": [pair.answer.text, other]}
    try:
        found = orjson.dumps(kept)
    except (TypeError, ValueError):
        return None
    return found.decode() if len(found) <= MOST_BYTES else None


def of_agreement(pair: ShadowPair, agreement: Agreement, texts: str | None = None) -> Iterator[OutcomeRow]:
    """None where the form of the answers cannot tell."""
    if agreement.verdict != "unknown":
        score = float(agreement.verdict == "different")
        yield outcome_of(pair.identity, _metric(pair), SOURCE, score)._replace(label=agreement.by, comment=texts)


def of_judgement(pair: ShadowPair, shadow: str, judgement: Judgement, texts: str | None = None) -> Iterator[OutcomeRow]:
    """`shadow` is the id of the second answer's record. A judge whose word depends on the order prefers neither."""
    own, other = _SCORES[judgement]
    yield outcome_of(pair.identity, _metric(pair), JUDGE, float(judgement != "tie"))._replace(comment=texts)
    if not pair.same_effort:
        yield outcome_of(pair.identity, PREFERRED, JUDGE, own)
        yield outcome_of(pair.identity._replace(id=shadow), PREFERRED, JUDGE, other)


def _metric(pair: ShadowPair) -> str:
    return VARIED if pair.same_effort else CHANGED
