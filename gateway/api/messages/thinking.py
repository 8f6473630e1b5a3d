"""Reads the requested effort from `thinking` and `output_config.effort`.

    thinking        effort      meaning
    absent          absent      the gateway decides
    absent          a level     that level
    adaptive        absent      the gateway decides
    adaptive        a level     the gateway decides, up to that level; if its policy cannot, that level
    enabled, N      absent      at most N tokens
    enabled, N      a level     the smaller of both
    disabled        any         no thinking; effort then means the answer's length, which is ignored
    between_tools   any         the same

Anthropic's minimum budget is 1024 tokens; the gateway accepts any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.api.chat.effort_fields import NO_EFFORT_REQUESTED, RequestedEffort
from gateway.api.checks import MOST_THINKING, wrong_value
from gateway.api.fields import Fields
from gateway.core import efforts
from gateway.core.efforts import NO_THINKING, Effort

LEVEL, BUDGET, TYPE = "output_config.effort", "thinking.budget_tokens", "thinking.type"
TYPES = ("enabled", "disabled", "adaptive", "between_tools")
DISPLAYS = ("summarized", "omitted")


@dataclass(frozen=True, slots=True)
class RequestedThinking:
    """`omitted`: thinking is returned encrypted. `chat` has the equivalent fields of a chat completion. `wanted`: the
    client asks for thinking, be it as much as is seen fit, and counts it in its `max_tokens`.
    """

    effort: RequestedEffort
    omitted: bool
    chat: Mapping[str, Any]
    wanted: bool = False


def read_thinking(body: Fields, levels: Mapping[str, Effort], decides: bool, limit: int | None) -> RequestedThinking:
    """`decides`: the model's policy can choose an effort. InvalidRequest: a value is invalid, or they contradict."""
    level = _level(body, levels)
    thinking = body.object("thinking")
    if thinking is None:
        effort = NO_EFFORT_REQUESTED if level is None or level == "auto" else _named(level, levels)
        return RequestedThinking(effort, False, {} if level is None else {"reasoning_effort": level})
    kind = thinking.required_word("type", TYPES)
    omitted = thinking.word("display", DISPLAYS) == "omitted"
    if kind in ("disabled", "between_tools"):
        return RequestedThinking(
            RequestedEffort(NO_THINKING, "none", param=TYPE), omitted, {"reasoning_effort": "none"}
        )
    chat: dict[str, Any] = {} if level is None else {"reasoning_effort": level}
    if kind == "adaptive":
        return RequestedThinking(_adaptive(level, levels, decides), omitted, chat, wanted=True)
    budget = _budget(thinking, limit)
    chat["thinking_token_budget"] = budget
    return RequestedThinking(_enabled(budget, level, levels), omitted, chat, wanted=True)


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
        return NO_EFFORT_REQUESTED
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
