"""Converts a request's tools and tool choice to chat completions form.

Functions are the same in both. A custom tool, which takes any text, becomes a function with one string argument, whose
calls are converted back. Tools hosted by OpenAI are not supported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.api import checks
from gateway.api.fields import Fields
from gateway.api.responses.errors import Unsupported

# The argument of the function that represents a custom tool.
INPUT = "input"
_CHOICES = ("none", "auto", "required")


@dataclass(frozen=True, slots=True)
class ResponseTools:
    """`chat_tools` (possibly empty) and `choice` (None: absent) are in the format of chat completions.

    `custom` are the names of the custom tools.
    """

    chat_tools: list[dict[str, Any]] = field(default_factory=list)
    choice: str | dict[str, Any] | None = None
    custom: frozenset[str] = frozenset()


def read_tools(body: Fields) -> ResponseTools:
    """InvalidRequest: a tool is hosted, has no name or a duplicate one, or the choice names an unknown tool."""
    converted: dict[str, dict[str, Any]] = {}
    custom = set()
    for tool in body.rows("tools"):
        kind = tool.required("type")
        if kind not in ("function", "custom"):
            raise Unsupported(tool.param("type"), f"{kind[:100]!r} is not supported: only function and custom tools.")
        name = tool.needed("name")
        if name in converted:
            raise tool.wrong("name", f"{name[:100]!r} is defined twice: names must be unique.")
        if kind == "custom":
            custom.add(name)
        converted[name] = {"type": "function", "function": _function(tool) if kind == "function" else _custom(tool)}
    choice, allowed = _choice(body, converted)
    return ResponseTools([converted[name] for name in allowed], choice, frozenset(custom))


def custom_arguments(text: str) -> str:
    """The arguments of the function that represents a custom tool."""
    return orjson.dumps({INPUT: text}).decode()


def custom_input(arguments: str) -> str:
    """The input of a custom tool's call; arguments that are not in the expected form are the input as they are."""
    try:
        given = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    text = given.get(INPUT) if isinstance(given, dict) else None
    return text if isinstance(text, str) else arguments


def _function(tool: Fields) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.needed("name")}
    if (description := tool.text("description")) is not None:
        function["description"] = description
    if tool.any("parameters") is not None:
        function["parameters"] = tool.table("parameters").given
    if (strict := tool.boolean("strict")) is not None:
        function["strict"] = strict
    return function


def _custom(tool: Fields) -> dict[str, Any]:
    form = tool.table("format")
    if form.text("type") not in (None, "text"):
        raise Unsupported(form.param("type"), "is not supported: only custom tools that accept any text are.")
    text = {"type": "string", "description": "The tool's input, as it is"}
    parameters = {"type": "object", "properties": {INPUT: text}, "required": [INPUT], "additionalProperties": False}
    function: dict[str, Any] = {"name": tool.needed("name"), "parameters": parameters}
    if (description := tool.text("description")) is not None:
        function["description"] = description
    return function


def _choice(body: Fields, known: Iterable[str]) -> tuple[str | dict[str, Any] | None, list[str]]:
    """The choice in the format of chat completions, and the names of the allowed tools."""
    names = list(known)
    choice = body.any("tool_choice")
    if choice is None:
        return None, names
    if isinstance(choice, str):
        word = body.word("tool_choice", _CHOICES)
        if word == "required" and not names:
            raise body.wrong("tool_choice", "is required, but there are no tools.")
        return (word if names else None), names
    if not isinstance(choice, dict):
        raise checks.wrong_type("tool_choice", "a string or an object", choice)
    table = body.table("tool_choice")
    kind = table.required("type")
    if kind in ("function", "custom"):
        return {"type": "function", "function": {"name": _named(table, names)}}, names
    if kind == "allowed_tools":
        allowed = [_named(row, names) for row in table.rows("tools")]
        if not allowed:
            raise table.missing("tools")
        return table.word("mode", ("auto", "required")) or "auto", [name for name in names if name in allowed]
    raise Unsupported(table.param("type"), f"{kind[:100]!r} is not supported: only function and custom tools.")


def _named(table: Fields, names: list[str]) -> str:
    name = table.needed("name")
    if name not in names:
        raise table.wrong("name", f"{name[:100]!r} is not among the tools.")
    return name
