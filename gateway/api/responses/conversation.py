"""Items to the messages of a chat completion: what a model said in one go becomes one message.

A thought, a text and calls that follow each other are one assistant's message, with the thought in its `reasoning`; a
family that wants it elsewhere, or not at all, gets it so from the compiler.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.api.responses.tools import custom_arguments
from gateway.api.responses.turn import Item
from gateway.core.reasoning import REASONING

Message = dict[str, Any]
# Between the parts of a thought, should there be several.
_BETWEEN = "\n\n"


def messages_of(items: Iterable[Item], instructions: str | None = None) -> list[Message]:
    """Instructions come first. Texts of the system that open the conversation are one message: templates take no more.

    Developer messages become system messages, which every template supports.
    """
    messages: list[Message] = []
    opening = [instructions] if instructions else []
    said: _Message | None = None
    all_said: list[_Message] = []
    for item in items:
        kind = item["type"]
        if kind == "reasoning" or kind in _CALLS or (kind == "message" and item["role"] == "assistant"):
            if said is None or not said.goes_on(kind):
                said = _Message()
                all_said.append(said)
                messages.append(said.message)
            said.add(item)
            continue
        if kind == "configuration_update":
            continue
        said = None
        if kind == "message":
            role = "user" if item["role"] == "user" else "system"
            content = _content(item["content"])
            if role == "system" and not messages and isinstance(content, str):
                opening.append(content)
            else:
                messages.append({"role": role, "content": content})
        else:
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": _content(item["output"])})
    for said in all_said:
        said.end()
    return [{"role": "system", "content": _BETWEEN.join(opening)}, *messages] if opening else messages


def without_old_thoughts(messages: list[Message]) -> list[Message]:
    """Only the thoughts since the user's last message."""
    turn = max((index for index, message in enumerate(messages) if message["role"] == "user"), default=0)
    return [
        {name: value for name, value in message.items() if name != REASONING} if index < turn else message
        for index, message in enumerate(messages)
    ]


def thought_of(item: Item) -> str:
    """The thought itself; where only its summary is left, that."""
    parts = item.get("content") or item["summary"]
    return _BETWEEN.join(part["text"] for part in parts)


class _Message:
    """An assistant's message in the making; its pieces are joined at the `end`, however many there are."""

    def __init__(self) -> None:
        self.message: Message = {"role": "assistant", "content": None}
        self._thoughts: list[str] = []
        self._texts: list[str] = []
        self._calls: list[Message] = []

    def goes_on(self, kind: str) -> bool:
        """Whether an item is still part of what the model is saying.

        Calls are answered next, so whatever comes with them before that is; else each thought begins, and each text
        is, a message of its own.
        """
        return bool(self._calls) or kind in _CALLS or not self._texts

    def add(self, item: Item) -> None:
        kind = item["type"]
        if kind == "reasoning":
            thought = thought_of(item)
            if thought:
                self._thoughts.append(thought)
        elif kind == "message":
            self._texts += (part.get("text", "") or part.get("refusal", "") for part in item["content"])
            self._texts.append("")  # a message without any text is one, too
        else:
            self._calls.append(_call(item))

    def end(self) -> None:
        if self._thoughts:
            self.message[REASONING] = _BETWEEN.join(self._thoughts)
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
    """A single text as it is, for the templates that take nothing else."""
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
