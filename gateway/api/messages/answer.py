"""Converts a chat completion to a message: content blocks, stop reason and usage."""

from __future__ import annotations

from typing import Any

import jiter
import orjson

from gateway.api.messages.parts import Json
from gateway.api.messages.thoughts import Thoughts
from gateway.core.backend_errors import BackendFailed
from gateway.core.reasoning import REASONING_FIELDS


def content(message: Json, finish: Any, thoughts: Thoughts, id: str) -> list[Json]:
    """The blocks for thinking, text and tool calls. BackendFailed: a call has no name or invalid arguments."""
    thought, text = thought_in(message), text_in(message)
    calls = [_tool_use(call, finish, f"toolu_{id}_{index}") for index, call in enumerate(calls_in(message))]
    blocks: list[Json] = [thoughts.block(thought)] if thought else []
    # Templates often put only line feeds between reasoning and a call.
    if text.strip() or (text and not calls):
        blocks.append({"type": "text", "text": text})
    return [*blocks, *calls] or [{"type": "text", "text": ""}]


def thought_in(message: Json) -> str:
    """The reasoning in a message or a delta; engines differ in the field's name."""
    return next((found for name in REASONING_FIELDS if isinstance(found := message.get(name), str) and found), "")


def text_in(message: Json) -> str:
    text, refusal = message.get("content"), message.get("refusal")
    return (text if isinstance(text, str) else "") + (refusal if isinstance(refusal, str) else "")


def calls_in(message: Json) -> list[Json]:
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def function_in(call: Json) -> tuple[str, str]:
    """A call's name and arguments, each empty if missing."""
    function = call.get("function")
    found = function if isinstance(function, dict) else {}
    name, arguments = found.get("name"), found.get("arguments")
    return (name if isinstance(name, str) else ""), (arguments if isinstance(arguments, str) else "")


def _tool_use(call: Json, finish: Any, own_id: str) -> Json:
    name, arguments = function_in(call)
    id = call.get("id")
    if not name:
        raise BackendFailed("The backend's tool call has no name.", code="invalid_tool_call")
    return {
        "type": "tool_use",
        "id": id if isinstance(id, str) and id else own_id,
        "name": name,
        "input": input_of(arguments, finish == "length"),
    }


def input_of(arguments: str, cut: bool) -> Json:
    """The arguments as an object; if the answer was truncated, as much as arrived. BackendFailed: not an object."""
    raw = arguments.encode() if arguments.strip() else b"{}"
    try:
        given = jiter.from_json(raw, partial_mode=True) if cut else orjson.loads(raw)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise BackendFailed("The arguments of the backend's tool call are not a JSON object.", code="invalid_tool_call")
    return given


def stop_fields(finish: Any, choice: Json, called: bool) -> Json:
    """The fields `stop_reason`, `stop_sequence` and `stop_details`."""
    reason, sequence, details = "end_turn", None, None
    # The stop sequence that vLLM (`stop_reason`) or SGLang (`matched_stop`) found; a number is a token id.
    met = choice.get("stop_reason") or choice.get("matched_stop")
    if finish == "length":
        reason = "max_tokens"
    elif finish == "content_filter":
        reason, details = "refusal", {"type": "refusal", "category": None, "explanation": None}
    elif called:
        reason = "tool_use"
    elif finish == "stop" and isinstance(met, str):
        reason, sequence = "stop_sequence", met
    return {"stop_reason": reason, "stop_sequence": sequence, "stop_details": details}


def usage_fields(usage: Any) -> Json:
    """Anthropic's usage fields. As there, `input_tokens` excludes tokens read from a cache."""
    given: Json = usage if isinstance(usage, dict) else {}
    cached = _count(given.get("prompt_tokens_details"), "cached_tokens")
    thinking = _count(given.get("completion_tokens_details"), "reasoning_tokens")
    prompt = _count(given, "prompt_tokens") or 0
    fields: Json = {
        "input_tokens": max(prompt - (cached or 0), 0),
        "output_tokens": _count(given, "completion_tokens") or 0,
    }
    if cached is not None:
        fields["cache_read_input_tokens"] = cached
    if thinking is not None:
        fields["output_tokens_details"] = {"thinking_tokens": thinking}
    return fields


def _count(table: Any, name: str) -> int | None:
    value = table.get(name) if isinstance(table, dict) else None
    return value if type(value) is int and value >= 0 else None
