"""Reasoning of earlier turns in requests: sent where the family wants it, in the field that it reads.

A client sends it in the field in which it received it: `reasoning` (vLLM), `reasoning_content` (SGLang and most hosted
APIs) or `reasoning_details` (OpenRouter); the other dialects convert to `reasoning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.core.aliases import JsonObject
from gateway.core.family import Family
from gateway.core.reasoning import REASONING_DETAILS, REASONING_FIELDS

NAMES = (*REASONING_FIELDS, REASONING_DETAILS)


def reasoning_history(
    messages: Sequence[JsonObject], family: Family, notes: list[str]
) -> tuple[Sequence[JsonObject], bool]:
    """The messages as the family expects them, and whether any has reasoning."""
    if family.passes_through or not any(_has_thought(message) for message in messages):
        return messages, False
    kept_from = _first_kept(messages, family)
    result: list[JsonObject] = []
    kept = left_out = 0
    for index, message in enumerate(messages):
        if not _has_thought(message):
            result.append(message)
        elif index >= kept_from:
            result.append(_renamed(message, family.history_field))
            kept += 1
        else:
            result.append(_without(message))
            left_out += 1
    if left_out:
        notes.append(f"family {family.name} takes no reasoning of earlier turns: {left_out} left out")
    return result, kept > 0


def _first_kept(messages: Sequence[JsonObject], family: Family) -> int:
    if family.history == "keep":
        return 0
    if family.history == "drop":
        return len(messages)
    asked = [index for index, message in enumerate(messages) if message.get("role") == "user"]
    while asked and _inside(messages, asked[-1]):
        asked.pop()
    return asked[-1] if asked else 0


def _inside(messages: Sequence[JsonObject], index: int) -> bool:
    """Whether a user message is inside a tool loop: it follows a tool result with no answer in between."""
    roles = (messages[before].get("role") for before in range(index - 1, -1, -1))
    return next((role for role in roles if role not in ("system", "developer")), None) in ("tool", "user")


def _has_thought(message: JsonObject) -> bool:
    return any(map(message.get, NAMES))


def _without(message: JsonObject) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in NAMES}


def _renamed(message: JsonObject, name: str) -> JsonObject:
    """The message with its reasoning in field `name`, byte for byte; `reasoning_details` stay as they are."""
    if name == REASONING_DETAILS and message.get(REASONING_DETAILS):
        return {**_without(message), REASONING_DETAILS: message[REASONING_DETAILS]}
    text = thought(message)
    if name == REASONING_DETAILS:
        return {**_without(message), REASONING_DETAILS: [{"type": "reasoning.text", "text": text}]}
    if message.get(name) == text and sum(other in message for other in NAMES) == 1:
        return message
    return {**_without(message), name: text}


def thought(message: JsonObject) -> str:
    """The reasoning of a message."""
    for name in REASONING_FIELDS:
        text = message.get(name)
        if isinstance(text, str) and text:
            return text
    details = message.get(REASONING_DETAILS) or ()
    texts = (detail.get("text") or detail.get("summary") for detail in details if isinstance(detail, dict))
    return "".join(text for text in texts if isinstance(text, str))
