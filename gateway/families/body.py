"""Access to request body fields by dotted name. Existing nested objects are copied, never modified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.aliases import JsonObject


def get(body: JsonObject, name: str) -> Any:
    """The field's value; None if it is missing."""
    value: Any = body
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def put(body: dict[str, Any], name: str, value: Any) -> None:
    outer, _, inner = name.partition(".")
    if not inner:
        body[outer] = value
        return
    parent = body.get(outer)
    body[outer] = below = dict(parent) if isinstance(parent, Mapping) else {}
    put(below, inner, value)


def drop(body: dict[str, Any], name: str) -> None:
    """Remove a field, and its parent object if that is then empty."""
    outer, _, inner = name.partition(".")
    if not inner:
        body.pop(outer, None)
        return
    parent = body.get(outer)
    if not isinstance(parent, Mapping) or inner.partition(".")[0] not in parent:
        return
    rest = dict(parent)
    drop(rest, inner)
    if rest:
        body[outer] = rest
    else:
        del body[outer]


def merge(body: dict[str, Any], fields: JsonObject, instead: bool = True) -> None:
    """Merge fields into the body, recursively.

    `instead`: they overwrite existing values; otherwise existing values win.
    """
    for key, value in fields.items():
        old = body.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            body[key] = below = dict(old)
            merge(below, value, instead)
        elif instead or old is None:
            body[key] = value
