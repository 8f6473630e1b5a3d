"""Verifies answers: one check per kind of answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from router_model.tasks.prompt import Prompt

_NUMBER = re.compile(r"-?\d+")
_TOOL_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)


def _number(expected: str, content: str) -> bool:
    """Whether the last number of the answer is the expected one; models may write text before it."""
    found = _NUMBER.findall(content)
    return bool(found) and int(found[-1]) == int(expected)


def _text(expected: str, content: str) -> bool:
    return " ".join(content.split()) == " ".join(expected.split())


def _json(expected: str, content: str) -> bool:
    try:
        return bool(json.loads(content) == json.loads(expected))
    except ValueError:
        return False


_CHECKS: dict[str, Callable[[str, str], bool]] = {"number": _number, "text": _text, "json": _json}


def _called(tool_calls: Sequence[Any] | None, content: str) -> list[dict[str, Any]]:
    """Calls as `{name, arguments}`, from the API's fields or, without a tool parser, from the text."""
    calls: list[dict[str, Any]] = []
    for call in tool_calls or ():
        function = call["function"] if isinstance(call, Mapping) else call.function
        name, arguments = (
            (function["name"], function["arguments"])
            if isinstance(function, Mapping)
            else (function.name, function.arguments)
        )
        calls.append({"name": name, "arguments": _parsed(arguments)})
    if not calls:
        calls = [parsed for text in _TOOL_CALL.findall(content) if isinstance(parsed := _parsed(text), dict)]
    return calls


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def verify(prompt: Prompt, content: str | None, tool_calls: Sequence[Any] | None = None) -> float:
    """The score of an answer: 1.0 correct, 0.0 wrong. `tool_calls` are the API's, as dicts or SDK objects."""
    text = (content or "").strip()
    if prompt.verifier == "tool":
        expected = _called(None, prompt.answer)
        return float(_called(tool_calls, text) == expected)
    return float(not tool_calls and _CHECKS[prompt.verifier](prompt.answer, text))
