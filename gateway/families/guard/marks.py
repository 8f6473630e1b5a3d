"""Marks that templates write between messages: a request that contains them would be another prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import orjson

from gateway.core.aliases import JsonObject
from gateway.families.guard.refused import refused

Marks = tuple[re.Pattern[bytes], ...]


# Fields whose text never enters a prompt.
_NOT_IN_PROMPT = frozenset(
    {*("model", "user", "metadata", "safety_identifier", "prompt_cache_key", "stop", "bad_words", "logit_bias")}
)


def check_marks(body: JsonObject, control: tuple[str, ...]) -> None:
    marks = _patterns(control)
    for name, value in body.items():
        if name not in _NOT_IN_PROMPT and type(value) in (str, list, dict) and value and _holds(value, marks):
            raise refused(_place(name, value, marks)[:100], "it may not contain template markers")
    for place, text in (*joined(body["messages"]), *_decoded(body["messages"])):
        if _holds(text, marks):
            raise refused(place, "it may not contain template markers, split or escaped ones included")


def joined(messages: Sequence[JsonObject]) -> Iterator[tuple[str, str]]:
    """The concatenation of texts in several parts, as templates write them."""
    for index, message in enumerate(messages):
        content = message.get("content")
        if type(content) is list and len(content) > 1:
            # Whatever the part's text field is called: `text`, `refusal`, `thinking`.
            texts = [
                value
                for part in content
                if type(part) is dict
                for name, value in part.items()
                if type(value) is str and name != "type"
            ]
            yield f"messages[{index}].content", "".join(texts)


def _decoded(messages: Sequence[JsonObject]) -> Iterator[tuple[str, str]]:
    """Decoded tool call arguments: engines parse them as JSON, and templates write the decoded values."""
    for index, message in enumerate(messages):
        for arguments in _arguments(message.get("tool_calls")):
            if "\\" in arguments:
                try:
                    text = json.dumps(json.loads(arguments), ensure_ascii=False)
                except (ValueError, RecursionError):
                    continue  # no engine parses it either
                # Lone surrogates occur in no marker.
                yield f"messages[{index}].tool_calls", text.encode("utf-8", "replace").decode()


def _arguments(calls: Any) -> Iterator[str]:
    for call in calls if type(calls) is list else ():
        for inner in call.values() if type(call) is dict else ():
            for value in inner.values() if type(inner) is dict else ():
                if type(value) is str:
                    yield value


def _holds(value: Any, marks: Marks) -> bool:
    data = orjson.dumps(value)
    return any(mark.search(data) for mark in marks)


def _place(name: str, value: Any, marks: Marks) -> str:
    for index, one in enumerate(value if type(value) is list else ()):
        if _holds(one, marks):
            return f"{name}[{index}].content" if name == "messages" else f"{name}[{index}]"
    return name


@cache
def _patterns(control: tuple[str, ...]) -> Marks:
    """One pattern per common prefix, so that the search for the prefix alone is fast."""
    begun: dict[bytes, list[bytes]] = {}
    for mark in control:
        raw = mark.encode()
        begun.setdefault(raw[:2], []).append(re.escape(raw[2:]))
    return tuple(re.compile(re.escape(first) + b"(?:" + b"|".join(rest) + b")") for first, rest in begun.items())
