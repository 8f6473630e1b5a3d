"""Messages of the system in the middle of a conversation: templates that allow them only at its beginning get them as
a part of what the user says, marked as what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.types import Family, JsonObject

_ROLES = ("system", "developer")


def where_allowed(messages: Sequence[JsonObject], family: Family, notes: list[str]) -> Sequence[JsonObject]:
    """The messages as the family's template takes them; `notes` gets a line if any has changed."""
    if family.system == "anywhere":
        return messages
    begun = next((index for index, message in enumerate(messages) if message.get("role") not in _ROLES), len(messages))
    late = sum(message.get("role") in _ROLES for message in messages[begun:])
    if not late:
        return messages
    notes.append(f"family {family.name} takes a system message only at the beginning: {late} went to the user's")
    told: list[JsonObject] = [*messages[:begun]]
    reminded = False
    for message in messages[begun:]:
        reminder = message.get("role") in _ROLES
        if reminder:
            message = {"role": "user", "content": _reminder(message.get("content"))}
        after_user = bool(told) and told[-1].get("role") == "user" == message.get("role")
        if after_user and (reminder or reminded):
            told[-1] = {**told[-1], "content": _joined(told[-1].get("content"), message.get("content"))}
        else:
            told.append(message)
        reminded = reminder
    return told


def _reminder(content: Any) -> Any:
    opening, closing = "<system-reminder>\n", "\n</system-reminder>"
    if isinstance(content, list):
        return [_text(opening), *content, _text(closing)]
    return f"{opening}{content or ''}{closing}"


def _joined(first: Any, second: Any) -> Any:
    if isinstance(first, list) or isinstance(second, list):
        return [*_parts(first), *_parts(second)]
    return "\n\n".join(text for text in (first, second) if text)


def _parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [_text(content)] if content else []


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}
