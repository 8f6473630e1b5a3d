"""A conversation in turns of blocks, as the messages of a chat completion.

Turns of one role that follow each other are one turn, as Anthropic has it. What of a turn has no order in a chat
completion is put together as the model's own output was taken apart: its thoughts, then its text, then its calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from gateway.api.checks import wrong_type, wrong_value
from gateway.api.messages import fields
from gateway.api.messages.fields import Json, at
from gateway.api.messages.parts import of_content, parts
from gateway.api.messages.thoughts import ThoughtReader
from gateway.core.errors import InvalidRequest

ROLES = ("user", "assistant", "system")
# A client's own line for accounting: it is another one each time, and every prefix cache would miss because of it.
_BILLING = "x-anthropic-billing-header"
_SYSTEM_JOINT = "\n"
Placed = tuple[Json, str]


def read_conversation(body: Json, most: int, thoughts: ThoughtReader) -> list[Json]:
    """InvalidRequest: no conversation, a thought that is not ours, a result without its call or a call without its."""
    messages = _system(_blocks(body, "system", "")) if body.get("system") is not None else []
    open_calls: dict[str, str] = {}
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
        raise fields.unsupported(
            "messages", "must not end with the assistant's: no backend is asked to go on with a message that is begun."
        )
    return messages


def _turns(body: Json, most: int) -> Iterator[tuple[str, list[Placed]]]:
    """Each turn's role and its blocks, with where they are."""
    messages = body.get("messages")
    if messages is None:
        raise fields.missing("messages")
    if messages == []:
        raise InvalidRequest("messages must hold at least one message.", param="messages", code="empty_array")
    if isinstance(messages, list) and len(messages) > most:
        said = f"messages may hold at most {most}, not {len(messages)}."
        raise InvalidRequest(said, param="messages", code="array_too_long")
    role, blocks = "", list[Placed]()
    for message, here in fields.tables(body, "messages"):
        next_role = fields.word(message, "role", here, ROLES)
        if role and next_role != role:
            yield role, blocks
            blocks = []
        role = next_role
        found = _blocks(message, "content", here)
        if not found and role == "user":
            param = at(here, "content")
            raise InvalidRequest(f"{param} is empty.", param=param, code="empty_array")
        blocks += found
    yield role, blocks


def _blocks(outer: Json, name: str, where: str) -> list[Placed]:
    """Those of a field that holds a string or blocks."""
    content = outer.get(name)
    if content is None:
        raise fields.missing(at(where, name))
    if isinstance(content, str):
        return [({"type": "text", "text": content}, at(where, name))]
    if not isinstance(content, list):
        raise wrong_type(at(where, name), "a string or a list of blocks", content)
    return list(fields.tables(outer, name, where))


def _system(blocks: list[Placed]) -> list[Json]:
    """One message, of blocks of text; none, if they say nothing."""
    texts = []
    for block, where in blocks:
        fields.word(block, "type", where, ("text",))
        texts.append(fields.text(block, "text", where))
    text = _SYSTEM_JOINT.join(text for text in texts if text and not text.startswith(_BILLING))
    return [{"role": "system", "content": text}] if text else []


def _user(blocks: list[Placed], open_calls: dict[str, str]) -> list[Json]:
    """The results of the calls before it, each in a message of its own, then what the user says."""
    results: list[Json] = []
    rest: list[Json] = []
    for block, where in blocks:
        if fields.text(block, "type", where) == "tool_result":
            result, images = _result(block, where, open_calls)
            results.append(result)
            rest += images
        else:
            rest += parts(block, where)
    _all_answered(open_calls)
    if results and not rest:
        return results
    return [*results, {"role": "user", "content": _content(rest)}]


def _content(said_parts: list[Json]) -> str | list[Json]:
    """A single text as a string: every template can show that."""
    if not said_parts:
        return ""
    return said_parts[0]["text"] if len(said_parts) == 1 and "text" in said_parts[0] else said_parts


def _result(block: Json, where: str, open_calls: dict[str, str]) -> tuple[Json, list[Json]]:
    """A message of the tool's, and the images that it cannot hold."""
    id = fields.text(block, "tool_use_id", where)
    if open_calls.pop(id, None) is None:
        message = f"{id[:100]!r} is no tool_use of the assistant's turn before it, or has its result already."
        raise wrong_value(at(where, "tool_use_id"), message)
    failed = fields.flag(block, "is_error", where)
    texts, images = [], []
    for part in of_content(block, "content", where):
        if part["type"] == "text":
            texts.append(part["text"])
        else:
            images.append(part)
    text = "\n".join(texts)
    if failed:
        # A chat completion has no other place to say so.
        text = f"Error: {text}" if text else "Error"
    return {"role": "tool", "tool_call_id": id, "content": text}, images


def _all_answered(open_calls: dict[str, str]) -> None:
    for id, where in open_calls.items():
        message = f"{id[:100]!r} has no tool_result in the user's turn after it."
        raise wrong_value(at(where, "id"), message)


def _assistant(blocks: list[Placed], reader: ThoughtReader) -> tuple[Json, dict[str, str]]:
    """The message, and where each call of it is that now wants a result."""
    thoughts: list[str] = []
    texts: list[str] = []
    calls: list[Json] = []
    open_calls: dict[str, str] = {}
    for block, where in blocks:
        kind = fields.text(block, "type", where)
        if kind in ("thinking", "redacted_thinking"):
            thoughts.append(reader.read(block, where))
        elif kind == "text":
            texts.append(fields.text(block, "text", where))
        elif kind == "tool_use":
            call = _call(block, where)
            if call["id"] in open_calls:
                raise wrong_value(at(where, "id"), "is there twice in one turn: ids must be unique.")
            open_calls[call["id"]] = where
            calls.append(call)
        else:
            known = "thinking, redacted_thinking, text and tool_use are"
            raise fields.unsupported(
                at(where, "type"), f"{kind[:60]!r} is not offered in an assistant's turn: {known}."
            )
    message: Json = {"role": "assistant", "content": "".join(texts) or (None if calls else "")}
    if any(thoughts):
        message["reasoning"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message, open_calls


def _call(block: Json, where: str) -> Json:
    id, name = fields.text(block, "id", where), fields.text(block, "name", where)
    if not id or not name:
        raise fields.missing(at(where, "name" if id else "id"))
    given = fields.table(block, "input", where)
    if given is None:
        raise fields.missing(at(where, "input"))
    # With the spaces that models are used to, as most templates and the models themselves write it.
    arguments = json.dumps(given, ensure_ascii=False)
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
