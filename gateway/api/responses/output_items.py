"""The items of an answer: a thought, a message, calls. Each has the id that it had in the stream."""

from __future__ import annotations

from typing import Any

from gateway.api.responses.tools import custom_input
from gateway.api.responses.turn import Item


def reasoning_item(id: str, thought: str, status: str, *, summary: bool, sealed: str | None = None) -> Item:
    """Nobody summarises here: a client that asks for a summary gets the thought itself in its place, too."""
    item: Item = {"type": "reasoning", "id": id, "summary": [], "content": [reasoning_part(thought)]}
    if summary:
        item["summary"] = [summary_part(thought)]
    if sealed is not None:
        item["encrypted_content"] = sealed
    return {**item, "status": status}


def message_item(id: str, content: list[dict[str, Any]], status: str) -> Item:
    return {"type": "message", "id": id, "role": "assistant", "status": status, "content": content}


def call_item(id: str, call: str, name: str, arguments: str, status: str) -> Item:
    return {
        "type": "function_call",
        "id": id,
        "call_id": call,
        "name": name,
        "arguments": arguments,
        "status": status,
    }


def custom_call_item(id: str, call: str, name: str, arguments: str, status: str) -> Item:
    return {
        "type": "custom_tool_call",
        "id": id,
        "call_id": call,
        "name": name,
        "input": custom_input(arguments),
        "status": status,
    }


def reasoning_part(text: str) -> dict[str, Any]:
    return {"type": "reasoning_text", "text": text}


def summary_part(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


def text_part(text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def refusal_part(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}
