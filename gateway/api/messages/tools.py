"""Tools and the choice among them, in the form of chat completions."""

from __future__ import annotations

import re
from typing import Any

from gateway.api.checks import wrong_type, wrong_value
from gateway.api.messages import fields
from gateway.api.messages.fields import Json, at

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CHOICES = ("auto", "any", "tool", "none")


def read_tools(body: Json) -> dict[str, Any]:
    """`tools`, `tool_choice` and `parallel_tool_calls`, as far as there are any."""
    tools: dict[str, Json] = {}
    for tool, here in fields.tables(body, "tools"):
        name, function = _tool(tool, here)
        if name in tools:
            raise wrong_value(at(here, "name"), f"{name!r} is there twice: names must be unique.")
        tools[name] = {"type": "function", "function": function}
    choice = _choice(body, tools)
    return {"tools": list(tools.values()), **choice} if tools else choice


def _tool(tool: Json, where: str) -> tuple[str, Json]:
    kind = fields.some_text(tool, "type", where)
    if kind not in (None, "custom"):
        message = f"{kind[:60]!r} is not offered here: only custom tools are, with a name and an input_schema."
        raise fields.unsupported(at(where, "type"), message)
    name = fields.text(tool, "name", where)
    if not _NAME.fullmatch(name):
        raise wrong_value(at(where, "name"), "must be 1 to 128 letters, digits, underscores and hyphens.")
    schema = fields.table(tool, "input_schema", where)
    if schema is None:
        raise fields.missing(at(where, "input_schema"))
    kind_of_schema = schema.get("type", "object")
    if kind_of_schema != "object":
        raise wrong_value(at(where, "input_schema.type"), "must be object.")
    function: Json = {"name": name}
    description = fields.some_text(tool, "description", where)
    if description is not None:
        function["description"] = description
    function["parameters"] = {"type": "object", **schema}
    strict = fields.flag(tool, "strict", where)
    if strict is not None:
        function["strict"] = strict
    return name, function


def _choice(body: Json, tools: Json) -> dict[str, Any]:
    choice = fields.table(body, "tool_choice")
    if choice is None:
        return {}
    kind = fields.word(choice, "type", "tool_choice", _CHOICES)
    alone = fields.flag(choice, "disable_parallel_tool_use", "tool_choice")
    told: dict[str, Any] = {"parallel_tool_calls": False} if alone else {}
    if kind == "tool":
        name = fields.text(choice, "name", "tool_choice")
        if name not in tools:
            raise wrong_value("tool_choice.name", f"{name[:100]!r} is not among the tools.")
        return {**told, "tool_choice": {"type": "function", "function": {"name": name}}}
    if not tools:
        if kind == "any":
            raise wrong_value("tool_choice", "may only ask for a tool where there are tools.")
        return {}
    return {**told, "tool_choice": "required" if kind == "any" else kind}


def read_format(body: Json) -> dict[str, Any]:
    """`response_format`, if a form of the answer is asked for."""
    config = fields.table(body, "output_config") or {}
    wanted = fields.table(config, "format", "output_config")
    if wanted is None:
        return {}
    fields.word(wanted, "type", "output_config.format", ("json_schema",))
    schema = wanted.get("schema")
    if schema is None:
        raise fields.missing("output_config.format.schema")
    if not isinstance(schema, dict):
        raise wrong_type("output_config.format.schema", "an object", schema)
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}}}
