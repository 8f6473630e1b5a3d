"""Meaningful bodies of /v1/responses that the schema allows."""

from __future__ import annotations

from typing import Any

_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def sensible_response(body: dict[str, Any]) -> dict[str, Any]:
    """Fix what a schema cannot express: valid references, unique names, and an existing tool."""
    body = {name: value for name, value in body.items() if name not in ("previous_response_id", "tool_choice")}
    if body.get("thinking_token_budget") is not None:
        body.pop("max_output_tokens", None)
    tools = body.get("tools") or []
    body["tools"] = list({tool["name"]: tool for tool in tools}.values())
    if isinstance(body["input"], list):
        body["input"] = _items(body["input"]) or "hi"
    return body


def _items(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep each call once, and only outputs of kept calls."""
    kept: list[dict[str, Any]] = []
    called: dict[str, str] = {}
    for item in given:
        kind, call = item.get("type"), item.get("call_id")
        if kind in _OUTPUTS:
            if called.pop(str(call), None) != str(kind).removesuffix("_output"):
                continue
        elif call is not None:
            if any(call == other.get("call_id") for other in kept):
                continue
            called[call] = str(kind)
        if kind != "item_reference":
            kept.append(item)
    return kept
