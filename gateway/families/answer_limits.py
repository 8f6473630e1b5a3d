"""Limits on the tokens of an answer: thinking that nobody requested adds to the client's limit, other fits into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.core import efforts
from gateway.core.call import LIMIT_FIELDS, Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, Effort

# What a level takes at most, as a multiple of the budget that it stands for: no engine enforces it.
LEVEL_ROOM = 4
# Up to here limits are raised where nobody knows how much a model may generate; larger ones may be refused.
KNOWN_TO_NONE = 32_768


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Tokens that are reserved for the answer inside the client's limit, the longest answer where there is no limit,
    and the room that thinking gets where nothing enforces a budget.
    """

    allowance: int
    maximum: int | None = None
    longest_thought: int = 16_384


def limit_of(call: Call, effort: Effort, enforced: bool, deployment: Deployment, answer: AnswerLimits) -> int | None:
    """The limit on all tokens of each choice; None: the client sets none.

    A client that requests thinking means all tokens, as its dialect does. Where the gateway decides, or on more than
    was requested, the limit is the answer's, and the thinking comes on top, as far as the deployment can generate so
    much. `enforced`: the effort's budget will be kept.
    """
    if call.limit is None or not effort.think or covers_thinking(call, effort):
        return call.limit
    return max(call.limit, min(call.limit + _room(effort, enforced, answer), _most(call, deployment)))


def covers_thinking(call: Call, decided: Effort) -> bool:
    """Whether the client's limit is on all tokens: it requests thinking, and no more was decided on."""
    requested = call.requested
    asked = requested is not None and requested.think and efforts.size(decided) <= efforts.size(requested)
    return asked or call.limit_covers_thinking


def fit(effort: Effort, limit: int | None, given: int | None, answer: AnswerLimits, notes: list[str]) -> Effort:
    """The effort that leaves the answer all of the client's limit (`given`), or else its allowance; no thinking where
    there is no room for it. `limit` is that on all tokens, as by `limit_of`.
    """
    if limit is None or given is None or not effort.think:
        return effort
    room = max(limit - given, given - answer.allowance)
    if efforts.size(effort) <= room:
        return effort
    if room <= 0:
        notes.append(f"no room to think: of {limit} tokens, {answer.allowance} are reserved for the answer")
        return NO_THINKING
    if effort.budget is not None:
        notes.append(
            f"budget cut from {effort.budget} to {room}: of {limit} tokens, {limit - room} are reserved for the answer"
        )
    return Effort(True, room)


def starves(applied: Effort | None, limit: int | None) -> bool:
    """Whether a budget, raised to the family's minimum, leaves nothing of the limit for the answer."""
    return limit is not None and applied is not None and applied.budget is not None and applied.budget >= limit


def write(
    body: dict[str, Any], applied: Effort | None, limit: int | None, answer: AnswerLimits, only: str | None = None
) -> None:
    """Put the limit into the body; without one, budget plus the longest answer.

    The field is the client's own, or the one that the deployment accepts (`only`).
    """
    if limit is not None:
        named = [name for name in LIMIT_FIELDS if body.get(name) is not None]
        if only is not None and named != [only]:
            for name in named:
                del body[name]
            named = [only]
        for name in named:
            body[name] = limit
    elif answer.maximum is not None and applied is not None and applied.budget is not None:
        body[only or "max_tokens"] = applied.budget + answer.maximum


def _room(effort: Effort, enforced: bool, answer: AnswerLimits) -> int:
    """The tokens that this thinking may take."""
    if effort.budget is None:
        return answer.longest_thought
    return effort.budget if enforced else max(effort.budget, min(effort.budget * LEVEL_ROOM, answer.longest_thought))


def _most(call: Call, deployment: Deployment) -> int:
    """What the deployment can surely generate after this prompt, none of whose bytes is more than a token."""
    known = [deployment.max_output] if deployment.max_output is not None else []
    if deployment.max_context is not None:
        known.append(deployment.max_context - call.size)
    return min(known, default=KNOWN_TO_NONE)
