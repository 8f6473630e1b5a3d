"""The grammar that a request needs for response_format, structured_outputs or a forced tool call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.embedded.constraint import Grammars, call_grammar, choice_grammar, json_grammar, regex_grammar
from gateway.embedded.errors import BadRequest
from gateway.embedded.protocol import ChatRequest, Generation, NamedTool

OBJECT: Mapping[str, Any] = {"type": "object"}
KINDS = ("json", "regex", "choice", "json_object")
# Characters of a grammar in the matcher's form, whose compilation blocks all answers.
LONGEST_GRAMMAR = 131_072
UNKNOWN = ("grammar", "structural_tag")


def grammar_of(request: Generation, grammars: Grammars) -> str | None:
    """The request's grammar; None: the output is unconstrained. Raises BadRequest if it is invalid."""
    try:
        grammar = _grammar(request)
    except ValueError as error:
        raise BadRequest(f"Invalid grammar specification: {error}") from error
    if grammar is not None and len(grammar) > LONGEST_GRAMMAR:
        raise BadRequest(f"Invalid grammar specification: longer than {LONGEST_GRAMMAR} characters")
    fault = grammars.fault(grammar) if grammar is not None else ""
    if fault:
        raise BadRequest(f"Invalid grammar specification: {fault.strip()}")
    return grammar


def forces_call(request: ChatRequest) -> bool:
    return request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool)


def _grammar(request: Generation) -> str | None:
    schema = _schema(request)
    if isinstance(request, ChatRequest) and request.tools and request.tool_choice != "none":
        choice, single = request.tool_choice, request.parallel_tool_calls is False
        if isinstance(choice, NamedTool):
            return call_grammar([tool for tool in request.tools if tool.function.name == choice.function.name], True)
        if choice == "required":
            return call_grammar(request.tools, single)
        if schema is not None:
            return call_grammar(request.tools, single, answer=schema)
    if schema is not None:
        return json_grammar(schema)
    wanted = request.structured_outputs or {}
    if wanted.get("regex") is not None:
        return regex_grammar(_pattern(wanted["regex"]))
    if wanted.get("choice") is not None:
        return choice_grammar(_choices(wanted["choice"]))
    return None


def _schema(request: Generation) -> Mapping[str, Any] | None:
    """The JSON schema of the answer; None if it need not be JSON."""
    if request.structured_outputs is not None:
        _check_kinds(request.structured_outputs)
        schema = request.structured_outputs.get("json")
        if isinstance(schema, str):
            schema = json.loads(schema)
        if schema is None and request.structured_outputs.get("json_object"):
            return OBJECT
        if schema is None or isinstance(schema, dict):
            return schema
        raise BadRequest("`json` of structured_outputs must be a JSON schema", "structured_outputs")
    form = request.response_format
    if form is None or form.type == "text":
        return None
    return form.json_schema.schema_ or OBJECT if form.json_schema else OBJECT


def _check_kinds(wanted: Mapping[str, Any]) -> None:
    given = [name for name, value in wanted.items() if value is not None and name in (*KINDS, *UNKNOWN)]
    if len(given) != 1:
        how = "multiple are" if given else "none are"
        raise BadRequest(f"You must use one kind of structured outputs constraint but {how} specified: {dict(wanted)}")
    if given[0] in UNKNOWN:
        raise BadRequest(f"`{given[0]}` of structured_outputs is not supported by the embedded engine",
                         "structured_outputs")  # fmt: skip


def _pattern(value: Any) -> str:
    if not isinstance(value, str):
        raise BadRequest("`regex` of structured_outputs must be a string", "structured_outputs")
    return value


def _choices(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(choice, str) for choice in value):
        raise BadRequest("`choice` of structured_outputs must be a list of strings", "structured_outputs")
    return value
