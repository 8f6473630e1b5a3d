"""What a call says of a right answer, as verifiers read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.call import Call
from gateway.verification.protocol import AnswerTask


def task_of(call: Call) -> AnswerTask:
    """`call` is no passthrough: its body is that of a chat completion."""
    return AnswerTask(call.expected, call.tests, _schema(call.body.get("response_format")), _tools(call.body))


def _schema(form: Any) -> dict[str, Any] | bool | None:
    """The schema of a `response_format`; True: it only says that the answer is a JSON object."""
    if not isinstance(form, dict):
        return None
    if form.get("type") == "json_object":
        return True
    named = form.get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    return schema if isinstance(schema, dict | bool) else None


def _tools(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema of the arguments of each function, by its name; None: there are none, or others than functions."""
    tools, found = body.get("tools"), {}
    for tool in tools if isinstance(tools, list) else ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(name := function.get("name"), str):
            return None
        parameters = function.get("parameters")
        found[name] = {"type": "object"} if parameters is None else parameters
    return found or None
