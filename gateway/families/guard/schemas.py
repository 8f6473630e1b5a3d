"""Refuses JSON schemas with references beyond the schema itself.

Libraries may fetch a reference from anywhere: Python's `jsonschema` opens any URL, including files. `$schema` names a
dialect and is not fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.core.errors import InvalidRequest
from gateway.families.guard.nested import nested

CODE = "field_not_allowed"
# Where a request may hold a schema.
_PLACES = (
    *("tools", "functions", "response_format", "structured_outputs", "guided_json", "json_schema", "format"),
    *("structural_tag", "guided_structural_tag", "extra_body"),
)
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# Begins an escape in a schema given as a JSON string. Without it or a `$`, a schema is not inspected.
_ESCAPE = b"\\\\u"


def check(body: Mapping[str, Any]) -> None:
    """InvalidRequest: a schema refers to something outside itself."""
    for place in _PLACES:
        given = body.get(place)
        if given and type(given) in (dict, list, str):
            _check(given, place)


def _check(given: Any, place: str) -> None:
    data = orjson.dumps(given)
    if b"$" not in data and _ESCAPE not in data:
        return
    for name, reference in _references(given):
        if not reference.startswith("#"):
            message = f"{place} may not have a {name} to {reference[:60]!r} here: only to the schema itself, by `#`."
            raise InvalidRequest(message, param=place, code=CODE)


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """The references in a schema, which may be a string. Properties with these names are schemas, not references."""
    for inner in nested(value):
        if type(inner) is str and inner.lstrip()[:1] == "{":
            yield from _references(_read(inner))
        elif type(inner) is dict:
            yield from ((name, inner[name]) for name in _REFERENCES if type(inner.get(name)) is str)


def _read(text: str) -> list[Any]:
    try:
        return [orjson.loads(text)]
    except orjson.JSONDecodeError:
        return []
