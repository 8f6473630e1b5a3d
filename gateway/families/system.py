"""System messages in the middle of a conversation: for templates that allow them only at the beginning, they become
marked parts of user messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.core.aliases import JsonObject
from gateway.core.family import Family

_ROLES = ("system", "developer")


def where_allowed(messages: Sequence[JsonObject], family: Family, notes: list[str]) -> Sequence[JsonObject]:
    """The messages as the family's template accepts them; `notes` gets a line if any has changed."""
    if family.system == "anywhere":
        return messages
    begun = next((index for index, message in enumerate(messages) if message.get("role") not in _ROLES), len(messages))
    late = sum(message.get("role") in _ROLES for message in messages[begun:])
    if not late:
        return messages
    notes.append(f"family {family.name} accepts a system message only at the beginning: {late} joined the user's")
    result: list[JsonObject] = [*messages[:begun]]
    # The contents for the last message, joined once.
    contents: list[Any] = []
    reminded = False
    for message in messages[begun:]:
        reminder = message.get("role") in _ROLES
        if reminder:
            message = {"role": "user", "content": _reminder(message.get("content"))}
        after_user = bool(result) and result[-1].get("role") == "user" == message.get("role")
        if after_user and (reminder or reminded):
            contents = contents or [result[-1].get("content")]
            contents.append(message.get("content"))
        else:
            _close(result, contents)
            contents = []
            result.append(message)
        reminded = reminder
    _close(result, contents)
    return result


def _close(result: list[JsonObject], contents: Sequence[Any]) -> None:
    if contents:
        result[-1] = {**result[-1], "content": _joined(contents)}


def _reminder(content: Any) -> Any:
    opening, closing = "<system-reminder>\n", "\n</system-reminder>"
    if isinstance(content, list):
        return [_text(opening), *content, _text(closing)]
    return f"{opening}{content or ''}{closing}"


def _joined(contents: Sequence[Any]) -> Any:
    """The contents joined; strings before the first list of parts form one part."""
    listed = next((at for at, content in enumerate(contents) if isinstance(content, list)), None)
    text = "\n\n".join(text for text in contents[:listed] if text)
    if listed is None:
        return text
    return [*_parts(text), *(part for content in contents[listed:] for part in _parts(content))]


def _parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [_text(content)] if content else []


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}
