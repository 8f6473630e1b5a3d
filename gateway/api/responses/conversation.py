"""Items to the messages of a chat completion: what a model said in one go becomes one message.

A thought, a text and calls that follow each other are one assistant's message, with the thought in its `reasoning`; a
family that wants it elsewhere, or not at all, gets it so from the compiler.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.api.responses.tools import custom_arguments
from gateway.api.responses.turn import Item

Message = dict[str, Any]
# Between the parts of a thought, should there be several.
_BETWEEN = "\n\n"


def messages_of(items: Iterable[Item], instructions: str | None = None) -> list[Message]:
    """Instructions come first. Texts of the system that open the conversation are one message: templates take no more.

    Developers are told as the system, which every template knows.
    """
    messages: list[Message] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    said: Message | None = None
    for item in items:
        kind = item["type"]
        if kind == "reasoning" or kind in _CALLS or (kind == "message" and item["role"] == "assistant"):
            if said is None or not _goes_on(said, kind):
                said = {"role": "assistant", "content": None}
                messages.append(said)
            _say(said, item)
            continue
        if kind == "configuration_update":
            continue
        said = None
        if kind == "message":
            _tell(messages, item)
        else:
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": _content(item["output"])})
    for message in messages:
        if message["role"] == "assistant" and message["content"] is None and "tool_calls" not in message:
            message["content"] = ""
    return messages


def without_old_thoughts(messages: list[Message]) -> list[Message]:
    """Only the thoughts since the user's last message."""
    turn = max((index for index, message in enumerate(messages) if message["role"] == "user"), default=0)
    return [
        {name: value for name, value in message.items() if name != "reasoning"} if index < turn else message
        for index, message in enumerate(messages)
    ]


def thought_of(item: Item) -> str:
    """The thought itself; where only its summary is left, that."""
    parts = item.get("content") or item["summary"]
    return _BETWEEN.join(part["text"] for part in parts)


def _goes_on(said: Message, kind: str) -> bool:
    """Whether an item is still part of what the model is saying.

    Calls are answered next, so whatever comes with them before that is; else each thought begins, and each text is, a
    message of its own.
    """
    return "tool_calls" in said or kind in _CALLS or said["content"] is None


def _say(said: Message, item: Item) -> None:
    kind = item["type"]
    if kind == "reasoning":
        thought = thought_of(item)
        if thought:
            said["reasoning"] = f"{said['reasoning']}{_BETWEEN}{thought}" if "reasoning" in said else thought
    elif kind == "message":
        text = "".join(part.get("text", "") or part.get("refusal", "") for part in item["content"])
        said["content"] = (said["content"] or "") + text
    else:
        said.setdefault("tool_calls", []).append(_call(item))


def _function(item: Item) -> Message:
    return {"name": item["name"], "arguments": item["arguments"]}


def _custom(item: Item) -> Message:
    return {"name": item["name"], "arguments": custom_arguments(item["input"])}


_CALLS = {"function_call": _function, "custom_tool_call": _custom}


def _call(item: Item) -> Message:
    return {"id": item["call_id"], "type": "function", "function": _CALLS[item["type"]](item)}


def _tell(messages: list[Message], item: Item) -> None:
    role = "user" if item["role"] == "user" else "system"
    content = _content(item["content"])
    opening = messages[0] if len(messages) == 1 and messages[0]["role"] == role == "system" else None
    if opening is not None and isinstance(content, str) and isinstance(opening["content"], str):
        opening["content"] += _BETWEEN + content
    else:
        messages.append({"role": role, "content": content})


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
