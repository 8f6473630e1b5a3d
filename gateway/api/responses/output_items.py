"""The items of an answer: reasoning, a message, calls. Each has the same id as in the stream."""

from __future__ import annotations

from typing import Any

from gateway.api.responses.tools import custom_input
from gateway.api.responses.turn import Item


def reasoning_item(id: str, text: str, status: str, *, summary: bool, sealed: str | None = None) -> Item:
    """The gateway does not summarise: a client that asks for a summary gets the reasoning itself as the summary."""
    item: Item = {"type": "reasoning", "id": id, "summary": [], "content": [reasoning_part(text)]}
    if summary:
        item["summary"] = [summary_part(text)]
    if sealed is not None:
        item["encrypted_content"] = sealed
    return {**item, "status": status}


def message_item(id: str, content: list[dict[str, Any]], status: str) -> Item:
    return {"type": "message", "id": id, "role": "assistant", "status": status, "content": content}


def call_item(id: str, call: str, name: str, arguments: str, status: str) -> Item:
    item = {"type": "function_call", "id": id, "call_id": call, "name": name}
    return {**item, "arguments": arguments, "status": status}


def custom_call_item(id: str, call: str, name: str, arguments: str, status: str) -> Item:
    item = {"type": "custom_tool_call", "id": id, "call_id": call, "name": name}
    return {**item, "input": custom_input(arguments), "status": status}


def reasoning_part(text: str) -> dict[str, Any]:
    return {"type": "reasoning_text", "text": text}


def summary_part(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


def text_part(text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def refusal_part(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}
