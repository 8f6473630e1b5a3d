"""What a chat client says about effort, in any of the ways that it may have been written for.

A level (`reasoning_effort`), a budget in tokens (`thinking_token_budget`), a switch (`chat_template_kwargs`), a dial
position; and the same in the words of other APIs, see `families/fields.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gateway.api import checks
from gateway.api.fields import Fields
from gateway.core import efforts
from gateway.core.aliases import Headers
from gateway.core.call import LIMIT_FIELDS
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.core.errors import InvalidRequest, suggestion
from gateway.families import body as fields
from gateway.families.compiler import ACCOUNT
from gateway.families.fields import (
    BUDGET_FIELDS,
    EFFORT_FIELDS,
    LEVEL_FIELDS,
    SWITCH_FIELDS,
    SWITCH_WORD_FIELDS,
)

EXTENSION_FIELDS = ("dial",)
# How a client asks for the gateway's own account in the answer's body if its SDK has no `include`.
ACCOUNT_HEADER = "x-thinkgate-include"
# Objects that hold effort fields; anything else in their place is an error.
_TABLES = ("reasoning", "thinking", "chat_template_kwargs", "custom_params")
_WAYS = tuple(dict.fromkeys(name.partition(".")[0] for name in EFFORT_FIELDS))
_LEVELS, _BUDGETS, _SWITCHES = (
    tuple((name, name.partition(".")[0]) for name in names) for names in (LEVEL_FIELDS, BUDGET_FIELDS, SWITCH_FIELDS)
)
_SWITCH_WORDS = {"enabled": True, "disabled": False, "adaptive": None, "auto": None}


class RequestedEffort(NamedTuple):
    """`requested` is None for "decide for me", then at most `ceiling`; `word` is the client's own, said in `param`."""

    requested: Effort | None
    word: str
    ceiling: Effort | None = None
    param: str = "reasoning_effort"


NOTHING_ASKED = RequestedEffort(None, "auto")


class _Field(NamedTuple):
    """One thing that the client said, and in which field."""

    value: Any
    param: str


def read_effort(body: dict[str, Any], levels: Mapping[str, Effort]) -> RequestedEffort:
    """The one effort that the fields together name. InvalidRequest: unknown, absurd or contradictory.

    A budget that leaves nothing of the client's token limit is an error; one that leaves little is cut later.
    """
    if not any(name in body for name in _WAYS):
        return NOTHING_ASKED
    for name in _TABLES:
        if name in body:
            Fields(body).object(name)
    if "reasoning" in body:
        Fields(body).table("reasoning").boolean("exclude")
    level = _one([_level(said, levels) for said in _said(body, _LEVELS)])
    budget = _one([_budget(said) for said in _said(body, _BUDGETS)])
    switch = _one([one for one in map(_switch, _said(body, _SWITCHES)) if one.value is not None])
    if level is None and budget is None and switch is None:
        return NOTHING_ASKED
    _refuse_contradiction(level, switch, levels)
    if switch is not None and switch.value is False:
        return RequestedEffort(NO_THINKING, "none", param=switch.param)
    most = None
    if budget is not None:
        most = efforts.from_budget(budget.value)
        _refuse_no_room(body, budget)
    if level is not None and level.value == "auto" and switch is None:
        return RequestedEffort(None, "auto", most)
    if level is not None and level.value != "auto":
        named = levels[level.value]
        if most is None or efforts.size(named) <= efforts.size(most):
            return RequestedEffort(named, level.value, param=level.param)
    requested = UNLIMITED if most is None else most
    said = budget or switch
    assert said is not None, "a level alone was read above"
    return RequestedEffort(requested, efforts.words(requested), param=said.param)


def read_dial(body: dict[str, Any], model: str, has_dial: bool) -> float | None:
    """The position in the `thinkgate` extension of the body, in [0,1]; None if the client left it to the operator."""
    extension = Fields(body).table("thinkgate").given
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


def wants_effort_report(body: dict[str, Any], headers: Headers) -> bool:
    """Whether the answer's body is to have a `thinkgate` object."""
    return ACCOUNT in Fields(body).array("include") or headers.get(ACCOUNT_HEADER) == ACCOUNT


def _said(body: dict[str, Any], names: Iterable[tuple[str, str]]) -> list[_Field]:
    """Those of the fields that the client filled in. `names` come with the outermost object they are in."""
    said = [_Field(fields.get(body, name), name) for name, outer in names if outer in body]
    return [one for one in said if one.value is not None]


def _one(said: list[_Field]) -> _Field | None:
    """What was said, once or several times alike. InvalidRequest: two fields say two things."""
    for one in said[1:]:
        if one.value != said[0].value:
            first = f"{said[0].param} {_shown(said[0].value)}"
            raise InvalidRequest(f"{one.param} {_shown(one.value)} contradicts {first}.", param=one.param)
    return said[0] if said else None


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _level(said: _Field, levels: Mapping[str, Effort]) -> _Field:
    level, name = said
    if isinstance(level, str) and (level in levels or level == "auto"):
        return said
    legal = f"one of auto, {', '.join(levels)}"
    if not isinstance(level, str):
        raise checks.wrong_type(name, legal, level)
    near = suggestion(level, levels) if len(level) < 20 else ""
    raise checks.wrong_value(name, f"must be {legal}, not {level[:40]!r}.{near}")


def _budget(said: _Field) -> _Field:
    checks.whole(said.value, said.param, -1, checks.MOST_THINKING, " (-1: unlimited)")
    return said


def _switch(said: _Field) -> _Field:
    """Its value is None where the word for it leaves it open."""
    if said.param not in SWITCH_WORD_FIELDS:
        if not isinstance(said.value, bool):
            raise checks.wrong_type(said.param, "true or false", said.value)
        return said
    if not isinstance(said.value, str):
        raise checks.wrong_type(said.param, "a string", said.value)
    if said.value not in _SWITCH_WORDS:
        legal = ", ".join(_SWITCH_WORDS)
        raise checks.wrong_value(said.param, f"must be one of {legal}, not {said.value[:40]!r}.")
    return said._replace(value=_SWITCH_WORDS[said.value])


def _refuse_contradiction(level: _Field | None, switch: _Field | None, levels: Mapping[str, Effort]) -> None:
    if level is None or level.value == "auto" or switch is None or levels[level.value].think == switch.value:
        return
    raise InvalidRequest(
        f"{level.param} {level.value!r} contradicts {switch.param} {_shown(switch.value)}.", param=switch.param
    )


def _refuse_no_room(body: dict[str, Any], budget: _Field) -> None:
    for name in LIMIT_FIELDS:
        limit = body.get(name)
        if type(limit) is int and 0 < limit <= budget.value:
            raise checks.wrong_value(
                budget.param, f"{budget.value} leaves no tokens of {name} {limit} for the answer: use a smaller budget."
            )
