"""Fits thinking into the client's token limit, so that it never consumes the answer's share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.core import efforts
from gateway.core.call import LIMIT_FIELDS
from gateway.core.efforts import NO_THINKING, Effort


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Tokens reserved for the answer inside the client's limit, and the longest answer where there is no limit."""

    allowance: int
    maximum: int | None = None


def fit(effort: Effort, limit: int | None, answer: AnswerLimits, notes: list[str]) -> Effort:
    """The effort that leaves the answer its allowance; no thinking where there is no room for it."""
    if limit is None or not effort.think:
        return effort
    room = limit - answer.allowance
    if room <= 0:
        notes.append(f"no room to think: of {limit} tokens, {answer.allowance} are reserved for the answer")
        return NO_THINKING
    if efforts.size(effort) <= room:
        return effort
    if effort.budget is not None:
        reserved = f"of {limit} tokens, {answer.allowance} are reserved for the answer"
        notes.append(f"budget cut from {effort.budget} to {room}: {reserved}")
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
