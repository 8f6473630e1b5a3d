"""Converts tools and the tool choice to chat completions."""

from __future__ import annotations

import re
from typing import Any

from gateway.api.fields import Fields

Json = dict[str, Any]
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CHOICES = ("auto", "any", "tool", "none")


def read_tools(body: Fields) -> dict[str, Any]:
    """The fields `tools`, `tool_choice` and `parallel_tool_calls`, where given."""
    tools: dict[str, Json] = {}
    for tool in body.each("tools"):
        name, function = _tool(tool)
        if name in tools:
            raise tool.wrong("name", f"{name!r} is defined twice: names must be unique.")
        tools[name] = {"type": "function", "function": function}
    choice = _choice(body, tools)
    return {"tools": list(tools.values()), **choice} if tools else choice


def _tool(tool: Fields) -> tuple[str, Json]:
    kind = tool.text("type")
    if kind not in (None, "custom"):
        message = f"{kind[:60]!r} is not supported: only custom tools are, with a name and an input_schema."
        raise tool.unsupported("type", message)
    name = tool.required("name")
    if not _NAME.fullmatch(name):
        raise tool.wrong("name", "must be 1 to 128 letters, digits, underscores and hyphens.")
    schema = tool.required_object("input_schema").given
    if schema.get("type", "object") != "object":
        raise tool.wrong("input_schema.type", "must be object.")
    function: Json = {"name": name}
    description = tool.text("description")
    if description is not None:
        function["description"] = description
    function["parameters"] = {"type": "object", **schema}
    strict = tool.boolean("strict")
    if strict is not None:
        function["strict"] = strict
    return name, function


def _choice(body: Fields, tools: Json) -> dict[str, Any]:
    choice = body.object("tool_choice")
    if choice is None:
        return {}
    kind = choice.required_word("type", _CHOICES)
    sequential = choice.boolean("disable_parallel_tool_use")
    fields: dict[str, Any] = {"parallel_tool_calls": False} if sequential else {}
    if kind == "tool":
        name = choice.required("name")
        if name not in tools:
            raise choice.wrong("name", f"{name[:100]!r} is not among the tools.")
        return {**fields, "tool_choice": {"type": "function", "function": {"name": name}}}
    if not tools:
        if kind == "any":
            raise body.wrong("tool_choice", "may only require a tool when tools are given.")
        return {}
    return {**fields, "tool_choice": "required" if kind == "any" else kind}


def read_format(body: Fields) -> dict[str, Any]:
    """The field `response_format`, if `output_config.format` is given."""
    output_format = body.table("output_config").object("format")
    if output_format is None:
        return {}
    output_format.required_word("type", ("json_schema",))
    schema = output_format.required_object("schema").given
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}}}
