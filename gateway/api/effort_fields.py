"""What a chat client says about effort, in any of its ways: a level, a budget, a template switch, a dial position."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway import efforts
from gateway.api import checks
from gateway.errors import InvalidRequest, suggestion
from gateway.types import NO_THINKING, UNLIMITED, Effort, Headers

EXTENSION_FIELDS = ("dial",)
# The word by which a client asks for the gateway's own account in the answer's body, in `include` or in the header.
ACCOUNT = "thinkgate"
ACCOUNT_HEADER = "x-thinkgate-include"


@dataclass(frozen=True, slots=True)
class EffortAsked:
    """`requested` is None for "decide for me", then at most `ceiling`; `word` is the client's own."""

    requested: Effort | None
    word: str
    ceiling: Effort | None = None


NOTHING_ASKED = EffortAsked(None, "auto")


def read_effort(body: dict[str, Any], levels: Mapping[str, Effort]) -> EffortAsked:
    """The one effort that the fields together name. InvalidRequest: unknown, absurd or contradictory."""
    level = _level(body, levels)
    budget = checks.integer(body, "thinking_token_budget", -1, checks.MOST_THINKING, " (-1: unlimited)")
    switch = checks.boolean(
        checks.table(body, "chat_template_kwargs"), "enable_thinking", "chat_template_kwargs.enable_thinking"
    )
    if level is None and budget is None and switch is None:
        return NOTHING_ASKED
    _refuse_contradiction(level, switch, levels)
    if switch is False:
        return EffortAsked(NO_THINKING, "none")
    most = None if budget is None else efforts.from_budget(budget)
    if level == "auto" and switch is None:
        return EffortAsked(None, "auto", most)
    if level is not None and level != "auto":
        named = levels[level]
        return EffortAsked(named if most is None else min(named, most, key=efforts.size), level)
    requested = UNLIMITED if most is None else most
    return EffortAsked(requested, efforts.words(requested))


def read_dial(body: dict[str, Any], model: str, has_dial: bool) -> float | None:
    """The position in the `thinkgate` extension of the body, in [0,1]; None if the client left it to the operator."""
    extension = checks.table(body, "thinkgate")
    for name in extension:
        if name not in EXTENSION_FIELDS:
            raise InvalidRequest(
                f"thinkgate.{name[:100]} is unknown.{suggestion(name, EXTENSION_FIELDS)}",
                param=f"thinkgate.{name[:100]}",
                code="unknown_parameter",
            )
    dial = extension.get("dial")
    if dial is None:
        return None
    if type(dial) not in (int, float):
        raise checks.wrong_type("thinkgate.dial", "a number", dial)
    if not 0 <= dial <= 1 or math.isnan(dial):
        raise checks.wrong_value("thinkgate.dial", f"must be between 0 (cheapest) and 1 (best), not {str(dial)[:40]}.")
    if not has_dial:
        raise checks.wrong_value("thinkgate.dial", f"cannot be set: the policy of model {model!r} has no dial.")
    return float(dial)


def wants_account(body: dict[str, Any], headers: Headers) -> bool:
    """Whether the answer's body is to have a `thinkgate` object."""
    included = body.get("include")
    if included is not None and not isinstance(included, list):
        raise checks.wrong_type("include", "a list", included)
    return ACCOUNT in (included or ()) or headers.get(ACCOUNT_HEADER) == ACCOUNT


def _level(body: dict[str, Any], levels: Mapping[str, Effort]) -> str | None:
    level = body.get("reasoning_effort")
    if level is None:
        return None
    legal = f"one of auto, {', '.join(levels)}"
    if not isinstance(level, str):
        raise checks.wrong_type("reasoning_effort", legal, level)
    if level != "auto" and level not in levels:
        near = suggestion(level, levels) if len(level) < 20 else ""
        raise checks.wrong_value("reasoning_effort", f"must be {legal}, not {level[:40]!r}.{near}")
    return level


def _refuse_contradiction(level: str | None, switch: bool | None, levels: Mapping[str, Effort]) -> None:
    if level is None or level == "auto" or switch is None or levels[level].think == switch:
        return
    raise InvalidRequest(
        f"reasoning_effort {level!r} contradicts chat_template_kwargs.enable_thinking {str(switch).lower()}.",
        param="chat_template_kwargs.enable_thinking",
    )
