"""Checks of values, messages and prompts, with errors that say what is wrong and what is valid."""

from __future__ import annotations

from typing import Any

from gateway.core.errors import InvalidRequest
from gateway.core.reasoning import REASONING, REASONING_CONTENT, REASONING_FIELDS

# No real budget or limit is higher: a larger number is a mistake.
MOST_THINKING = 1_000_000
MOST_TOKENS = 2**31 - 1
MOST_CHOICES = 128


def wrong_type(param: str, expected: str, value: Any) -> InvalidRequest:
    return InvalidRequest(f"{param} must be {expected}, not {_kind(value)}.", param=param, code="invalid_type")


def wrong_value(param: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{param} {message}", param=param)


def whole(value: Any, param: str, lowest: int, highest: int, also: str = "") -> int | None:
    """The value if it is an integer in the range; None if it is absent. InvalidRequest: anything else."""
    if value is None:
        return None
    if type(value) is not int:
        raise wrong_type(param, "a whole number", value)
    if not lowest <= value <= highest:
        raise wrong_value(param, f"must be between {lowest} and {highest}{also}, not {str(value)[:40]}.")
    return value


def messages(body: dict[str, Any], most: int) -> None:
    """Check that there are 1 to `most` messages, each an object with a role and valid content."""
    value = body.get("messages")
    if value is None:
        raise InvalidRequest("messages is required.", param="messages", code="missing_required_parameter")
    if not isinstance(value, list):
        raise wrong_type("messages", "a list", value)
    if not value:
        raise InvalidRequest("messages must hold at least one message.", param="messages", code="empty_array")
    if len(value) > most:
        raise InvalidRequest(
            f"messages may hold at most {most}, not {len(value)}.", param="messages", code="array_too_long"
        )
    calls: set[str] = set()
    for index, message in enumerate(value):
        _message(message, f"messages[{index}]", calls)


def prompts(body: dict[str, Any], name: str) -> int:
    """The number of prompts in a field: a string, a list of token ids, or a list of either."""
    value = body.get(name)
    if value is None:
        raise InvalidRequest(f"{name} is required.", param=name, code="missing_required_parameter")
    if isinstance(value, str):
        return 1
    if not isinstance(value, list):
        raise wrong_type(name, "a string or a list", value)
    if not value:
        raise InvalidRequest(f"{name} must not be empty.", param=name, code="empty_array")
    if type(value[0]) is int:
        _token_ids(value, name)
        return 1
    for index, one in enumerate(value):
        if isinstance(one, list):
            _token_ids(one, f"{name}[{index}]")
        elif not isinstance(one, str):
            raise wrong_type(f"{name}[{index}]", "a string or a list of token ids", one)
    return len(value)


def _token_ids(value: list[Any], param: str) -> None:
    if not value:
        raise InvalidRequest(f"{param} must not be empty.", param=param, code="empty_array")
    for index, number in enumerate(value):
        if type(number) is not int:
            raise wrong_type(f"{param}[{index}]", "a token id", number)


def _message(message: Any, param: str, calls: set[str]) -> None:
    """`calls` collects the ids of the tool calls so far."""
    if not isinstance(message, dict):
        raise wrong_type(param, "an object", message)
    role = message.get("role")
    if not isinstance(role, str):
        if role is None:
            raise InvalidRequest(f"{param}.role is required.", param=f"{param}.role", code="missing_required_parameter")
        raise wrong_type(f"{param}.role", "a string", role)
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        if not isinstance(content, list):
            raise wrong_type(f"{param}.content", "a string or a list of parts", content)
        for index, part in enumerate(content):
            if not isinstance(part, dict):
                raise wrong_type(f"{param}.content[{index}]", "an object", part)
    if role == "assistant":
        _reasoning(message, param)
        if message.get("tool_calls") is not None:
            _calls(message["tool_calls"], f"{param}.tool_calls", calls)
    elif role == "tool":
        _result(message, f"{param}.tool_call_id", calls)


def _reasoning(message: dict[str, Any], param: str) -> None:
    reasoning, content = message.get(REASONING), message.get(REASONING_CONTENT)
    if reasoning is None and content is None:
        return
    for name, value in zip(REASONING_FIELDS, (reasoning, content), strict=True):
        if value is not None and not isinstance(value, str):
            raise wrong_type(f"{param}.{name}", "a string", value)
    if reasoning is not None and content is not None and reasoning != content:
        raise wrong_value(f"{param}.{REASONING_CONTENT}", f"differs from {REASONING}: send only one of them.")


def _calls(value: Any, param: str, calls: set[str]) -> None:
    if not isinstance(value, list):
        raise wrong_type(param, "a list", value)
    for index, call in enumerate(value):
        if not isinstance(call, dict):
            raise wrong_type(f"{param}[{index}]", "an object", call)
        id = call.get("id")
        if id is not None and not isinstance(id, str):
            raise wrong_type(f"{param}[{index}].id", "a string", id)
        if id:
            calls.add(id)


def _result(message: dict[str, Any], param: str, calls: set[str]) -> None:
    id = message.get("tool_call_id")
    if id is None:
        raise InvalidRequest(f"{param} is required.", param=param, code="missing_required_parameter")
    if not isinstance(id, str):
        raise wrong_type(param, "a string", id)
    if id not in calls:
        raise wrong_value(param, "does not match a tool call of an earlier message.")


def _kind(value: Any) -> str:
    names = {
        bool: "a boolean",
        int: "a whole number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "null")
