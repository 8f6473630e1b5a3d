"""A conversation in turns of blocks, as the messages of a chat completion.

Turns of one role that follow each other are one turn, as Anthropic has it. What of a turn has no order in a chat
completion is put together as the model's own output was taken apart: its thoughts, then its text, then its calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gateway.api.fields import Fields
from gateway.api.messages.parts import of_content, parts
from gateway.api.messages.thoughts import ThoughtReader
from gateway.core.reasoning import REASONING

ROLES = ("user", "assistant", "system")
# A client's own line for accounting: it is another one each time, and every prefix cache would miss because of it.
_BILLING = "x-anthropic-billing-header"
_SYSTEM_JOINT = "\n"
Json = dict[str, Any]


def read_conversation(body: Fields, most: int, thoughts: ThoughtReader) -> list[Json]:
    """InvalidRequest: no conversation, a thought that is not ours, a result without its call or a call without its."""
    messages = _system(_blocks(body, "system")) if body.any("system") is not None else []
    open_calls: dict[str, Fields] = {}
    role = ""
    for role, blocks in _turns(body, most):
        if role == "system":
            messages += _system(blocks)
        elif role == "user":
            messages += _user(blocks, open_calls)
        else:
            _all_answered(open_calls)
            message, open_calls = _assistant(blocks, thoughts)
            messages.append(message)
    _all_answered(open_calls)
    if role == "assistant":
        raise body.unsupported(
            "messages", "must not end with an assistant message: prefilled answers are not supported."
        )
    return messages


def _turns(body: Fields, most: int) -> Iterator[tuple[str, list[Fields]]]:
    """Each turn's role and its blocks, with where they are."""
    if body.any("messages") is None:
        raise body.missing("messages")
    count = len(body.array("messages"))
    if not count:
        raise body.wrong("messages", "must hold at least one message.", "empty_array")
    if count > most:
        raise body.wrong("messages", f"may hold at most {most}, not {count}.", "array_too_long")
    role, blocks = "", list[Fields]()
    for message in body.each("messages"):
        next_role = message.required_word("role", ROLES)
        if role and next_role != role:
            yield role, blocks
            blocks = []
        role = next_role
        found = _blocks(message, "content")
        if not found and role == "user":
            raise message.wrong("content", "is empty.", "empty_array")
        blocks += found
    yield role, blocks


def _blocks(outer: Fields, name: str) -> list[Fields]:
    """Those of a field that holds a string or blocks."""
    content = outer.any(name)
    if content is None:
        raise outer.missing(name)
    if isinstance(content, str):
        return [outer.inner({"type": "text", "text": content}, name)]
    if not isinstance(content, list):
        raise outer.wrong_type(name, "a string or a list of blocks")
    return outer.rows(name)


def _system(blocks: list[Fields]) -> list[Json]:
    """One message, of blocks of text; none, if they say nothing."""
    texts = []
    for block in blocks:
        block.required_word("type", ("text",))
        texts.append(block.required("text"))
    text = _SYSTEM_JOINT.join(text for text in texts if text and not text.startswith(_BILLING))
    return [{"role": "system", "content": text}] if text else []


def _user(blocks: list[Fields], open_calls: dict[str, Fields]) -> list[Json]:
    """The results of the calls before it, each in a message of its own, then what the user says."""
    results: list[Json] = []
    rest: list[Json] = []
    for block in blocks:
        if block.required("type") == "tool_result":
            result, images = _result(block, open_calls)
            results.append(result)
            rest += images
        else:
            rest += parts(block)
    _all_answered(open_calls)
    if results and not rest:
        return results
    return [*results, {"role": "user", "content": _content(rest)}]


def _content(said_parts: list[Json]) -> str | list[Json]:
    """A single text as a string: every template can show that."""
    if not said_parts:
        return ""
    return said_parts[0]["text"] if len(said_parts) == 1 and "text" in said_parts[0] else said_parts


def _result(block: Fields, open_calls: dict[str, Fields]) -> tuple[Json, list[Json]]:
    """A message of the tool's, and the images that it cannot hold."""
    id = block.required("tool_use_id")
    if open_calls.pop(id, None) is None:
        message = f"{id[:100]!r} does not match a tool_use of the preceding assistant turn, or already has a result."
        raise block.wrong("tool_use_id", message)
    failed = block.boolean("is_error")
    texts, images = [], []
    for part in of_content(block, "content"):
        if part["type"] == "text":
            texts.append(part["text"])
        else:
            images.append(part)
    text = "\n".join(texts)
    if failed:
        # A chat completion has no other place to say so.
        text = f"Error: {text}" if text else "Error"
    return {"role": "tool", "tool_call_id": id, "content": text}, images


def _all_answered(open_calls: dict[str, Fields]) -> None:
    for id, block in open_calls.items():
        message = f"{id[:100]!r} has no tool_result in the following user turn."
        raise block.wrong("id", message)


def _assistant(blocks: list[Fields], reader: ThoughtReader) -> tuple[Json, dict[str, Fields]]:
    """The message, and where each call of it is that now wants a result."""
    thoughts: list[str] = []
    texts: list[str] = []
    calls: list[Json] = []
    open_calls: dict[str, Fields] = {}
    for block in blocks:
        kind = block.required("type")
        if kind in ("thinking", "redacted_thinking"):
            thoughts.append(reader.read(block))
        elif kind == "text":
            texts.append(block.required("text"))
        elif kind == "tool_use":
            call = _call(block)
            if call["id"] in open_calls:
                raise block.wrong("id", "occurs twice in one turn: ids must be unique.")
            open_calls[call["id"]] = block
            calls.append(call)
        else:
            known = "thinking, redacted_thinking, text and tool_use are"
            raise block.unsupported("type", f"{kind[:60]!r} is not supported in an assistant turn: {known}.")
    message: Json = {"role": "assistant", "content": "".join(texts) or (None if calls else "")}
    if any(thoughts):
        message[REASONING] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message, open_calls


def _call(block: Fields) -> Json:
    id, name = block.required("id"), block.required("name")
    if not id or not name:
        raise block.missing("name" if id else "id")
    given = block.required_object("input").given
    # With the spaces that models are used to, as most templates and the models themselves write it.
    arguments = json.dumps(given, ensure_ascii=False)
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
