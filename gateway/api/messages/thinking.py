"""What a client says about effort: `thinking`, `output_config.effort`, and both together.

    thinking        effort      what it says
    absent          absent      decide for me
    absent          a level     that level
    adaptive        absent      decide for me
    adaptive        a level     decide for me, up to that level; the level itself where nobody is there to decide
    enabled, N      absent      N tokens at most
    enabled, N      a level     the smaller of both
    disabled        any         no thinking: effort then is about the answer's length, which no backend is told
    between_tools   any         the same

Anthropic asks for a budget of 1024 at least; here any will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.api.chat.effort_fields import NOTHING_ASKED, RequestedEffort
from gateway.api.checks import MOST_THINKING, wrong_value
from gateway.api.fields import Fields
from gateway.core import efforts
from gateway.core.efforts import NO_THINKING, Effort

LEVEL, BUDGET, TYPE = "output_config.effort", "thinking.budget_tokens", "thinking.type"
TYPES = ("enabled", "disabled", "adaptive", "between_tools")
DISPLAYS = ("summarized", "omitted")


@dataclass(frozen=True, slots=True)
class RequestedThinking:
    """`omitted`: thoughts come back sealed. `chat` are the same wishes in the fields of a chat completion."""

    effort: RequestedEffort
    omitted: bool
    chat: Mapping[str, Any]


def read_thinking(body: Fields, levels: Mapping[str, Effort], decides: bool, limit: int | None) -> RequestedThinking:
    """`decides`: the model's policy chooses by itself. InvalidRequest: unknown, absurd or contradictory."""
    level = _level(body, levels)
    thinking = body.object("thinking")
    if thinking is None:
        asked = NOTHING_ASKED if level is None or level == "auto" else _named(level, levels)
        return RequestedThinking(asked, False, {} if level is None else {"reasoning_effort": level})
    kind = thinking.required_word("type", TYPES)
    omitted = thinking.word("display", DISPLAYS) == "omitted"
    if kind in ("disabled", "between_tools"):
        return RequestedThinking(
            RequestedEffort(NO_THINKING, "none", param=TYPE), omitted, {"reasoning_effort": "none"}
        )
    chat: dict[str, Any] = {} if level is None else {"reasoning_effort": level}
    if kind == "adaptive":
        return RequestedThinking(_adaptive(level, levels, decides), omitted, chat)
    budget = _budget(thinking, limit)
    chat["thinking_token_budget"] = budget
    return RequestedThinking(_enabled(budget, level, levels), omitted, chat)


def _level(body: Fields, levels: Mapping[str, Effort]) -> str | None:
    return body.table("output_config").word("effort", ("auto", *levels))


def _budget(thinking: Fields, limit: int | None) -> int:
    budget = thinking.integer("budget_tokens", 1, MOST_THINKING)
    if budget is None:
        raise thinking.missing("budget_tokens")
    if limit is not None and budget >= limit:
        raise wrong_value(BUDGET, f"must be less than max_tokens, which is {limit}: thinking tokens count towards it.")
    return budget


def _adaptive(level: str | None, levels: Mapping[str, Effort], decides: bool) -> RequestedEffort:
    if level is None or level == "auto":
        return NOTHING_ASKED
    return RequestedEffort(None, "auto", levels[level]) if decides else _named(level, levels)


def _enabled(budget: int, level: str | None, levels: Mapping[str, Effort]) -> RequestedEffort:
    most = efforts.from_budget(budget)
    if level == "auto":
        return RequestedEffort(None, "auto", most)
    if level is not None and not levels[level].think:
        raise wrong_value(LEVEL, f"{level!r} contradicts thinking.type 'enabled'.")
    if level is None or efforts.size(most) < efforts.size(levels[level]):
        return RequestedEffort(most, str(budget), param=BUDGET)
    return _named(level, levels)


def _named(level: str, levels: Mapping[str, Effort]) -> RequestedEffort:
    return RequestedEffort(levels[level], level, param=LEVEL)
