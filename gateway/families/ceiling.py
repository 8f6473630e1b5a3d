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


def keep(
    told: EncodedEffort, call: Call, family: Family, levels: Mapping[str, Effort], by: Enforcement, notes: list[str]
) -> EncodedEffort:
    """The encoded effort within the ceiling of the call's key. NotAllowed: the deployment cannot be limited to it.

    A limit on all tokens that is within the ceiling enforces it, too.
    """
    most = call.key_ceiling
    if most is None or _within(told, most) or (call.limit is not None and call.limit <= efforts.size(most)):
        return told
    if told.effort is not None and most.think and family.off is not None:
        notes.append(f"family {family.name} cannot be limited to {efforts.words(most)}, the most that the key allows")
        return effort_encoding.nearest(NO_THINKING, "", family, levels, by, notes)
    cannot = "has no effort control" if told.effort is None else "cannot think so little"
    limit = f", or lower max_tokens to {efforts.words(most)}" if most.think else ""
    said = f"This key allows at most {efforts.words(most)} thinking tokens, and the model {call.model!r} {cannot}"
    said += f": use another{limit}."
    raise NotAllowed(said, param="max_tokens" if most.think else "model", code="effort_not_allowed")


def _within(told: EncodedEffort, most: Effort) -> bool:
    """Whether it is within the ceiling; a family's level counts as its budget, though its real length is unknown."""
    if told.effort is None:
        return False
    if efforts.size(told.effort) <= efforts.size(most):
        return True
    return most.think and told.level is not None and told.effort.budget is None
