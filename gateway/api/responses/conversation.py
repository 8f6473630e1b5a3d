"""Converts items to the messages of a chat completion.

Consecutive reasoning, text and calls become one assistant message, with the reasoning in its `reasoning` field; the
compiler moves or drops it as the family requires.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.api.responses.tools import custom_arguments
from gateway.api.responses.turn import Item
from gateway.core.reasoning import REASONING

Message = dict[str, Any]
# Between the parts of one reasoning text.
_SEPARATOR = "\n\n"


def messages_of(items: Iterable[Item], instructions: str | None = None) -> list[Message]:
    """The messages. Instructions and leading system messages are merged into one, since templates accept only one.

    Developer messages become system messages, which every template supports.
    """
    messages: list[Message] = []
    opening = [instructions] if instructions else []
    turn: _AssistantTurn | None = None
    turns: list[_AssistantTurn] = []
    for item in items:
        kind = item["type"]
        if kind == "reasoning" or kind in _CALLS or (kind == "message" and item["role"] == "assistant"):
            if turn is None or not turn.continues_with(kind):
                turn = _AssistantTurn()
                turns.append(turn)
                messages.append(turn.message)
            turn.add(item)
            continue
        if kind == "configuration_update":
            continue
        turn = None
        if kind == "message":
            role = "user" if item["role"] == "user" else "system"
            content = _content(item["content"])
            if role == "system" and not messages and isinstance(content, str):
                opening.append(content)
            else:
                messages.append({"role": role, "content": content})
        else:
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": _content(item["output"])})
    for turn in turns:
        turn.end()
    return [{"role": "system", "content": _SEPARATOR.join(opening)}, *messages] if opening else messages


def without_old_reasoning(messages: list[Message]) -> list[Message]:
    """The messages without reasoning from before the user's last message."""
    last_user = max((index for index, message in enumerate(messages) if message["role"] == "user"), default=0)
    return [
        {name: value for name, value in message.items() if name != REASONING} if index < last_user else message
        for index, message in enumerate(messages)
    ]


def reasoning_text(item: Item) -> str:
    """The text of a reasoning item, or else its summary."""
    parts = item.get("content") or item["summary"]
    return _SEPARATOR.join(part["text"] for part in parts)


class _AssistantTurn:
    """Collects the items of one assistant message; `end` joins the pieces, in linear time."""

    def __init__(self) -> None:
        self.message: Message = {"role": "assistant", "content": None}
        self._reasoning: list[str] = []
        self._texts: list[str] = []
        self._calls: list[Message] = []

    def continues_with(self, kind: str) -> bool:
        """Whether an item of this kind belongs to the same message.

        Everything up to the results of calls does. Without calls, reasoning or text after a text starts a new message.
        """
        return bool(self._calls) or kind in _CALLS or not self._texts

    def add(self, item: Item) -> None:
        kind = item["type"]
        if kind == "reasoning":
            text = reasoning_text(item)
            if text:
                self._reasoning.append(text)
        elif kind == "message":
            self._texts += (part.get("text", "") or part.get("refusal", "") for part in item["content"])
            self._texts.append("")  # so that an empty message gets a content
        else:
            self._calls.append(_call(item))

    def end(self) -> None:
        if self._reasoning:
            self.message[REASONING] = _SEPARATOR.join(self._reasoning)
        if self._texts or not self._calls:
            self.message["content"] = "".join(self._texts)
        if self._calls:
            self.message["tool_calls"] = self._calls


def _function(item: Item) -> Message:
    return {"name": item["name"], "arguments": item["arguments"]}


def _custom(item: Item) -> Message:
    return {"name": item["name"], "arguments": custom_arguments(item["input"])}


_CALLS = {"function_call": _function, "custom_tool_call": _custom}


def _call(item: Item) -> Message:
    return {"id": item["call_id"], "type": "function", "function": _CALLS[item["type"]](item)}


def _content(parts: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """A single text as a string, since some templates accept nothing else."""
    if isinstance(parts, str):
        return parts
    if len(parts) == 1 and parts[0]["type"] == "input_text":
        text: str = parts[0]["text"]
        return text
    return [_part(part) for part in parts]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part["type"]
    if kind == "input_text":
        return {"type": "text", "text": part["text"]}
    if kind == "input_image":
        return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part["detail"]}}
    if kind == "input_file":
        return {"type": "file", "file": {"file_data": part["file_data"], "filename": part["filename"]}}
    return {"type": kind, "input_audio": part["input_audio"]}
