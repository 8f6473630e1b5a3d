"""OpenAPI documents as JSON files, one an area, with fragments that stand in several places and values of the code.

A file is an object of `fragments`, `paths` and `schemas`; the first one also has `document`, which holds the others.
A string `"$NAME"` stands for a value or fragment, and in a list for its items where it has some. The key `"$"` names
one or several whose fields belong to its object.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import orjson

Json = dict[str, Any]


def read(areas: tuple[str, ...], values: Mapping[str, Any]) -> Json:
    """The document of some files. KeyError: a name that is neither a fragment nor a value."""
    parts: dict[str, Json] = {"fragments": {}, "paths": {}, "schemas": {}, "document": {}}
    for area in areas:
        text = (files("gateway.api.openapi") / f"{area}.json").read_bytes()
        for part, named in orjson.loads(text).items():
            parts[part] |= named
    known = {**values, **parts["fragments"], "paths": parts["paths"], "schemas": parts["schemas"]}
    return _object(parts["document"], known)


def _object(given: Json, known: Mapping[str, Any]) -> Json:
    made: Json = {}
    for key, value in given.items():
        if key == "$":
            for name in [value] if isinstance(value, str) else value:
                made |= _filled(f"${name}", known)
        else:
            made[key] = _filled(value, known)
    return made


def _filled(given: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(given, str) and given.startswith("$"):
        return _filled(known[given[1:]], known)
    if isinstance(given, dict):
        return _object(given, known)
    if isinstance(given, list | tuple):
        return _list(given, known)
    return given


def _list(given: list[Any] | tuple[Any, ...], known: Mapping[str, Any]) -> list[Any]:
    made: list[Any] = []
    for item in given:
        value = _filled(item, known)
        if isinstance(item, str) and isinstance(value, list):
            made += value
        else:
            made.append(value)
    return made
