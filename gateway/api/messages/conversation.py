"""Converts a conversation of content blocks to the messages of a chat completion.

As in Anthropic's API, consecutive messages of one role are one turn. A chat completion does not keep the order of the
blocks of an assistant turn, so they become reasoning, text and calls, the reverse of how an answer is converted.
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
# Claude Code's billing line: it changes with each request, so every prefix cache would miss because of it.
_BILLING = "x-anthropic-billing-header"
_SYSTEM_SEPARATOR = "\n"
Json = dict[str, Any]


def read_conversation(body: Fields, most: int, thoughts: ThoughtReader) -> list[Json]:
    """The messages. InvalidRequest: the conversation is empty, a thinking block's signature is invalid, or tool calls
    and results do not match.
    """
    messages = _system(_blocks(body, "system")) if body.any("system") is not None else []
    open_calls: dict[str, Fields] = {}
    role = ""
    for role, blocks in _turns(body, most):
        if role == "system":
            messages += _system(blocks)
        elif role == "user":
            messages += _user(blocks, open_calls)
        else:
            _require_results(open_calls)
            message, open_calls = _assistant(blocks, thoughts)
            messages.append(message)
    _require_results(open_calls)
    if role == "assistant":
        raise body.unsupported(
            "messages", "must not end with an assistant message: prefilled answers are not supported."
        )
    return messages


def failed_tools(body: Fields) -> tuple[str, ...]:
    """The ids of the calls whose results, in the last message, are marked as errors. The body has been read."""
    content = body.rows("messages")[-1].any("content")
    if not isinstance(content, list):
        return ()
    return tuple(block["tool_use_id"] for block in content if block.get("is_error") is True)


def _turns(body: Fields, most: int) -> Iterator[tuple[str, list[Fields]]]:
    """Each turn's role and blocks."""
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
    """The blocks of a field that holds a string or blocks."""
    content = outer.any(name)
    if content is None:
        raise outer.missing(name)
    if isinstance(content, str):
        return [outer.inner({"type": "text", "text": content}, name)]
    if not isinstance(content, list):
        raise outer.wrong_type(name, "a string or a list of blocks")
    return outer.rows(name)


def _system(blocks: list[Fields]) -> list[Json]:
    """One system message of text blocks; none if they are empty."""
    texts = []
    for block in blocks:
        block.required_word("type", ("text",))
        texts.append(block.required("text"))
    text = _SYSTEM_SEPARATOR.join(text for text in texts if text and not text.startswith(_BILLING))
    return [{"role": "system", "content": text}] if text else []


def _user(blocks: list[Fields], open_calls: dict[str, Fields]) -> list[Json]:
    """One message per tool result, then the user's own message, if any."""
    results: list[Json] = []
    rest: list[Json] = []
    for block in blocks:
        if block.required("type") == "tool_result":
            result, images = _result(block, open_calls)
            results.append(result)
            rest += images
        else:
            rest += parts(block)
    _require_results(open_calls)
    if results and not rest:
        return results
    return [*results, {"role": "user", "content": _content(rest)}]


def _content(user_parts: list[Json]) -> str | list[Json]:
    """A single text as a string, which every template supports."""
    if not user_parts:
        return ""
    return user_parts[0]["text"] if len(user_parts) == 1 and "text" in user_parts[0] else user_parts


def _result(block: Fields, open_calls: dict[str, Fields]) -> tuple[Json, list[Json]]:
    """The tool message, and the images, which it cannot hold."""
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
        # Chat completions have no field for failed calls.
        text = f"Error: {text}" if text else "Error"
    return {"role": "tool", "tool_call_id": id, "content": text}, images


def _require_results(open_calls: dict[str, Fields]) -> None:
    for id, block in open_calls.items():
        raise block.wrong("id", f"{id[:100]!r} has no tool_result in the following user turn.")


def _assistant(blocks: list[Fields], reader: ThoughtReader) -> tuple[Json, dict[str, Fields]]:
    """The message, and its calls by id, which now need results."""
    reasoning: list[str] = []
    texts: list[str] = []
    calls: list[Json] = []
    open_calls: dict[str, Fields] = {}
    for block in blocks:
        kind = block.required("type")
        if kind in ("thinking", "redacted_thinking"):
            reasoning.append(reader.read(block))
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
    if any(reasoning):
        message[REASONING] = "".join(reasoning)
    if calls:
        message["tool_calls"] = calls
    return message, open_calls


def _call(block: Fields) -> Json:
    id, name = block.needed("id"), block.needed("name")
    # With spaces after separators, as most templates and models write JSON.
    arguments = json.dumps(block.required_object("input").given, ensure_ascii=False)
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
