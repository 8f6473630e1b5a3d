"""Enforces a key's ceiling; where a family cannot think that little, it does not think."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core import efforts
from gateway.core.call import Call
from gateway.core.efforts import NO_THINKING, Effort
from gateway.core.errors import NotAllowed
from gateway.core.family import Family
from gateway.core.plan import Enforcement
from gateway.families import effort_encoding
from gateway.families.effort_encoding import EncodedEffort


def enforce(
    encoded: EncodedEffort,
    call: Call,
    family: Family,
    levels: Mapping[str, Effort],
    enforcement: Enforcement,
    notes: list[str],
) -> EncodedEffort:
    """The encoded effort within the ceiling of the call's key. NotAllowed: the deployment cannot be limited to it.

    A limit on all tokens that is within the ceiling enforces it, too.
    """
    most = call.key_ceiling
    if most is None or within(encoded, most) or (call.limit is not None and call.limit <= efforts.size(most)):
        return encoded
    if encoded.effort is not None and most.think and family.off is not None:
        notes.append(f"family {family.name} cannot be limited to {efforts.words(most)}, the most that the key allows")
        return effort_encoding.nearest(NO_THINKING, "", family, levels, enforcement, notes)
    reason = "has no effort control" if encoded.effort is None else "cannot think so little"
    limit = f", or lower max_tokens to {efforts.words(most)}" if most.think else ""
    message = f"This key allows at most {efforts.words(most)} thinking tokens, and the model {call.model!r} {reason}"
    message += f": use another{limit}."
    raise NotAllowed(message, param="max_tokens" if most.think else "model", code="effort_not_allowed")


def within(encoded: EncodedEffort, most: Effort | None) -> bool:
    """Whether it is within the ceiling; a family's level counts as its budget, though its real length is unknown."""
    if most is None:
        return True
    if encoded.effort is None:
        return False
    if efforts.size(encoded.effort) <= efforts.size(most):
        return True
    return most.think and encoded.level is not None and encoded.effort.budget is None
