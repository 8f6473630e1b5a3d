"""Reads the effort that a chat request asks for, in any of the formats that clients use.

A level (`reasoning_effort`), a budget in tokens (`thinking_token_budget`), a switch (`chat_template_kwargs`), a dial
position; and their equivalents in other APIs, see `families/fields.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gateway.api import checks
from gateway.api.fields import Fields
from gateway.api.references import REFERENCE_FIELDS
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

EXTENSION_FIELDS = ("dial", *REFERENCE_FIELDS)
# How a client whose SDK has no `include` requests the effort report in the answer's body.
REPORT_HEADER = "x-thinkgate-include"
# Fields that must be objects, since they hold effort fields.
_TABLES = ("reasoning", "thinking", "chat_template_kwargs", "custom_params")
_WAYS = frozenset(name.partition(".")[0] for name in EFFORT_FIELDS)
_LEVELS, _BUDGETS, _SWITCHES = (
    tuple((name, name.partition(".")[0]) for name in names) for names in (LEVEL_FIELDS, BUDGET_FIELDS, SWITCH_FIELDS)
)
_SWITCH_WORDS = {"enabled": True, "disabled": False, "adaptive": None, "auto": None}


class RequestedEffort(NamedTuple):
    """`requested` None: the gateway decides, up to `ceiling`. `word` is the client's value, found in field `param`."""

    requested: Effort | None
    word: str
    ceiling: Effort | None = None
    param: str = "reasoning_effort"


NO_EFFORT_REQUESTED = RequestedEffort(None, "auto")


class _Field(NamedTuple):
    """The value of an effort field, and the field's name."""

    value: Any
    param: str


def read_effort(body: dict[str, Any], levels: Mapping[str, Effort]) -> RequestedEffort:
    """The effort that all fields together request. InvalidRequest: a value is unknown or invalid, or they contradict
    each other. A budget that leaves no tokens for the answer is an error; one that leaves few is reduced later.
    """
    if _WAYS.isdisjoint(body):
        return NO_EFFORT_REQUESTED
    for name in _TABLES:
        if name in body:
            Fields(body).object(name)
    if "reasoning" in body:
        Fields(body).table("reasoning").boolean("exclude")
    level = _single([_level(field, levels) for field in _given(body, _LEVELS)])
    budget = _single([_budget(field) for field in _given(body, _BUDGETS)])
    switch = _single([one for one in map(_switch, _given(body, _SWITCHES)) if one.value is not None])
    if level is None and budget is None and switch is None:
        return NO_EFFORT_REQUESTED
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
    field = budget or switch
    assert field is not None, "a level alone returned above"
    return RequestedEffort(requested, efforts.words(requested), param=field.param)


def read_dial(body: dict[str, Any], model: str, has_dial: bool) -> float | None:
    """The dial position in the body's `thinkgate` object, in [0,1]; None: the operator's setting applies."""
    if body.get("thinkgate") is None:
        return None
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
    """Whether the answer's body should have a `thinkgate` object."""
    included = "include" in body and ACCOUNT in Fields(body).array("include")
    return included or headers.get(REPORT_HEADER) == ACCOUNT


def _given(body: dict[str, Any], names: Iterable[tuple[str, str]]) -> list[_Field]:
    """The fields that are not null. `names` are pairs of a field's path and its outermost object."""
    given = [_Field(fields.get(body, name), name) for name, outer in names if outer in body]
    return [one for one in given if one.value is not None]


def _single(given: list[_Field]) -> _Field | None:
    """The first field; None if there is none. InvalidRequest: another field has a different value."""
    for one in given[1:]:
        if one.value != given[0].value:
            first = f"{given[0].param} {_shown(given[0].value)}"
            raise InvalidRequest(f"{one.param} {_shown(one.value)} contradicts {first}.", param=one.param)
    return given[0] if given else None


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _level(field: _Field, levels: Mapping[str, Effort]) -> _Field:
    level, name = field
    if isinstance(level, str) and (level in levels or level == "auto"):
        return field
    valid = f"one of auto, {', '.join(levels)}"
    if not isinstance(level, str):
        raise checks.wrong_type(name, valid, level)
    near = suggestion(level, levels) if len(level) < 20 else ""
    raise checks.wrong_value(name, f"must be {valid}, not {level[:40]!r}.{near}")


def _budget(field: _Field) -> _Field:
    checks.whole(field.value, field.param, -1, checks.MOST_THINKING, " (-1: unlimited)")
    return field


def _switch(field: _Field) -> _Field:
    """The field with its value as a boolean; None where its word (`auto`, `adaptive`) leaves it open."""
    if field.param not in SWITCH_WORD_FIELDS:
        if not isinstance(field.value, bool):
            raise checks.wrong_type(field.param, "true or false", field.value)
        return field
    if not isinstance(field.value, str):
        raise checks.wrong_type(field.param, "a string", field.value)
    if field.value not in _SWITCH_WORDS:
        valid = ", ".join(_SWITCH_WORDS)
        raise checks.wrong_value(field.param, f"must be one of {valid}, not {field.value[:40]!r}.")
    return field._replace(value=_SWITCH_WORDS[field.value])


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
