"""Checks of single fields, wherever they are: errors name the place as Anthropic does, `messages.0.content.1.text`."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

from gateway.api.checks import wrong_type, wrong_value
from gateway.core.errors import InvalidRequest, suggestion

Json = dict[str, Any]


def at(where: str, name: str | int) -> str:
    return f"{where}.{name}" if where else str(name)


def missing(param: str) -> InvalidRequest:
    return InvalidRequest(f"{param} is required.", param=param, code="missing_required_parameter")


def unsupported(param: str, message: str) -> InvalidRequest:
    """It is right in Anthropic's API, and cannot be had here."""
    return InvalidRequest(f"{param} {message}", param=param, code="unsupported_value")


def some_text(table: Json, name: str, where: str = "") -> str | None:
    """A string, or None if the field is absent or null."""
    value = table.get(name)
    if value is not None and not isinstance(value, str):
        raise wrong_type(at(where, name), "a string", value)
    return value


def text(table: Json, name: str, where: str = "") -> str:
    """A string, which may be empty."""
    value = some_text(table, name, where)
    if value is None:
        raise missing(at(where, name))
    return value


def word(table: Json, name: str, where: str, legal: Collection[str], default: str | None = None) -> str:
    """One of the legal words."""
    value = some_text(table, name, where)
    value = default if value is None else value
    if value is None:
        raise missing(at(where, name))
    if value not in legal:
        near = suggestion(value, legal) if len(value) < 40 and len(legal) > 1 else ""
        near = near if near.startswith(" Did") else ""
        raise wrong_value(at(where, name), f"must be {_one_of(legal)}, not {value[:40]!r}.{near}")
    return value


def flag(table: Json, name: str, where: str = "") -> bool | None:
    value = table.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong_type(at(where, name), "true or false", value)
    return value


def number(table: Json, name: str, lowest: float, highest: float) -> float | None:
    value = table.get(name)
    if value is None:
        return None
    if type(value) not in (int, float):
        raise wrong_type(name, "a number", value)
    if not lowest <= value <= highest or math.isnan(value):
        raise wrong_value(name, f"must be between {lowest:g} and {highest:g}, not {str(value)[:40]}.")
    return float(value)


def whole(table: Json, name: str, lowest: int, highest: int, where: str = "") -> int | None:
    value = table.get(name)
    if value is None:
        return None
    if type(value) is not int:
        raise wrong_type(at(where, name), "a whole number", value)
    if not lowest <= value <= highest:
        raise wrong_value(at(where, name), f"must be between {lowest} and {highest}, not {str(value)[:40]}.")
    return value


def table(outer: Json, name: str, where: str = "") -> Json | None:
    """An object, or None if the field is absent or null."""
    value = outer.get(name)
    if value is not None and not isinstance(value, dict):
        raise wrong_type(at(where, name), "an object", value)
    return value


def tables(outer: Json, name: str, where: str = "") -> Iterator[tuple[Json, str]]:
    """The objects of a list, each with where it is; none if the field is absent or null."""
    value = outer.get(name)
    if value is None:
        return
    if not isinstance(value, list):
        raise wrong_type(at(where, name), "a list", value)
    for index, item in enumerate(value):
        here = at(at(where, name), index)
        if not isinstance(item, dict):
            raise wrong_type(here, "an object", item)
        yield item, here


def _one_of(legal: Collection[str]) -> str:
    return f"one of {', '.join(legal)}" if len(legal) > 1 else "".join(legal)
