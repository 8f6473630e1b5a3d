"""OpenAPI documents as JSON files, one per area, with placeholders for shared fragments and for values of the code.

A file is an object of `fragments`, `paths` and `schemas`; the first one also has `document`, the frame of the result. A
string `"$NAME"` is replaced by a value or fragment; in a list, a list is spliced in. The key `"$"` names one or several
fragments whose fields are merged into its object.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import orjson

Json = dict[str, Any]


def read(areas: tuple[str, ...], values: Mapping[str, Any]) -> Json:
    """The document composed of some areas. KeyError: a placeholder is neither a fragment nor a value."""
    parts: dict[str, Json] = {"fragments": {}, "paths": {}, "schemas": {}, "document": {}}
    for area in areas:
        text = (files("gateway.api.openapi") / f"{area}.json").read_bytes()
        for part, named in orjson.loads(text).items():
            parts[part] |= named
    known = {**values, **parts["fragments"], "paths": parts["paths"], "schemas": parts["schemas"]}
    return _object(parts["document"], known)


def _object(node: Json, known: Mapping[str, Any]) -> Json:
    result: Json = {}
    for key, value in node.items():
        if key == "$":
            for name in [value] if isinstance(value, str) else value:
                result |= _filled(f"${name}", known)
        else:
            result[key] = _filled(value, known)
    return result


def _filled(node: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(node, str) and node.startswith("$"):
        return _filled(known[node[1:]], known)
    if isinstance(node, dict):
        return _object(node, known)
    if isinstance(node, list | tuple):
        return _list(node, known)
    return node


def _list(node: list[Any] | tuple[Any, ...], known: Mapping[str, Any]) -> list[Any]:
    result: list[Any] = []
    for item in node:
        value = _filled(item, known)
        if isinstance(item, str) and isinstance(value, list):
            result += value
        else:
            result.append(value)
    return result
