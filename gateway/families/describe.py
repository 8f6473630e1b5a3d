"""Describes a family row in text: how thinking is controlled, which values are valid, known issues, and sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.core.aliases import JsonObject
from gateway.core.family import Family, KnownIssue

DEFAULTS = {
    "on": "By default, it thinks.",
    "off": "By default, it does not think.",
    "adaptive": "By default, it decides itself whether to think.",
}
HISTORY = {
    "drop": "Reasoning of earlier turns is not sent back",
    "tools": "Reasoning since the last user message is sent back",
    "keep": "Reasoning of all turns is sent back",
}


def describe_family(family: Family, sources: bool = False) -> Iterator[str]:
    """Lines of text, without known issues; with `sources`, each ends with its source."""
    if family.passes_through:
        yield "Nothing is known about it: the client's own fields are passed on, and no effort is enforced."
        return
    for part, line in _lines(family):
        yield f"{line} [{family.sources.get(part, 'no source')}]" if sources else line


def describe_issue(issue: KnownIssue, sources: bool = False) -> str:
    """A known issue on one line."""
    line = f"{issue.when[0].upper()}{issue.when[1:]}: {issue.what}. Workaround: {issue.way_round}."
    return f"{line} [{issue.source}]" if sources else line


def inline(fields: JsonObject) -> str:
    """Body fields on one line, as `name value` and `name {inner: value}`."""
    return " and ".join(f"{name} {_value(value)}" for name, value in fields.items())


def _lines(family: Family) -> Iterator[tuple[str, str]]:
    """Each line, with the part of the row it describes."""
    yield "default", DEFAULTS[family.default]
    yield "off", _off(family)
    yield "on", _switch("Thinking", family.on)
    if family.levels:
        yield "levels", f"Levels: {', '.join(family.levels)}, set in {family.level_field}."
        if family.nearest:
            yield "nearest", f"Others are rounded: {_rounded(family)}."
    yield "budget", _budget(family)
    if family.limit_field is not None:
        yield "limit", f"The limit on all tokens is set in {family.limit_field}."
    if family.system == "first":
        yield "system", "System messages are accepted only at the beginning; later ones join the user's."
    yield "history", _history(family)
    if family.on is not None:
        shown = f"comes in {family.answer_field}" if family.answer_field else "is not shown"
        yield "answer_field", f"Reasoning {shown}."
        counted = f"in {family.usage_field}" if family.usage_field else "only together with the answer's"
        yield "usage", f"Its tokens are counted {counted}."


def _off(family: Family) -> str:
    if family.off is not None:
        return _switch("No thinking", family.off)
    least = f"the level {next(iter(family.levels))}" if family.levels else "the least budget"
    return f"No thinking: not supported; the nearest is {least}."


def _switch(what: str, fields: JsonObject | None) -> str:
    if fields is None:
        return f"{what}: not supported."
    return f"{what}: {inline(fields)}." if fields else f"{what}: needs no field."


def _rounded(family: Family) -> str:
    return ", ".join(f"{name} becomes {legal}" for name, legal in family.nearest.items())


def _budget(family: Family) -> str:
    if family.budget_field is None:
        return "Budget: not supported."
    alternative = " instead of a level" if family.budget_instead else ""
    if (family.budget_least, family.budget_most, family.budget_step) == (1, None, 1):
        return f"Budget: in {family.budget_field}{alternative}, any number of tokens."
    most = "" if family.budget_most is None else f" to {family.budget_most}"
    step = "" if family.budget_step == 1 else f" in steps of {family.budget_step}"
    return f"Budget: in {family.budget_field}{alternative}, from {family.budget_least}{most} tokens{step}."


def _history(family: Family) -> str:
    if family.history == "drop":
        return f"{HISTORY['drop']}."
    extra = f", with {inline(family.history_with)}" if family.history_with else ""
    return f"{HISTORY[family.history]}, as {family.history_field}{extra}."


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(inner)}" for key, inner in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)
