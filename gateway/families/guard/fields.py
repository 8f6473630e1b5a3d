"""Refuses fields that clients may not send to a backend, in every dialect.

Names are compared case-insensitively: backends in Go read `Priority` as `priority`, and of `model` and `Model` the
last. Numeric strings are compared as numbers, as most engines convert them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gateway.core.errors import InvalidRequest
from gateway.core.field_policy import FieldPolicy
from gateway.families.guard import schemas

CODE = "field_not_allowed"
# Fields that the gateway reads or writes itself: no second spelling beside them.
_OWN = frozenset(
    {
        *("model", "messages", "prompt", "input", "stream", "stream_options", "n", "max_tokens", "tools", "functions"),
        *("max_completion_tokens", "user", "metadata", "store", "logprobs", "echo", "url", "image_url"),
        *("continue_final_message", "add_generation_prompt", "reasoning_effort", "thinking_token_budget"),
    }
)
# Some gateways merge its contents over the body.
_MERGED = "extra_body"
# Sized fields whose strings are exempt from the size limit.
_TEXTS = ("stop", "stop_regex", "bad_words")


def check(body: Mapping[str, Any], policy: FieldPolicy, unread: Collection[str] = ()) -> None:
    """InvalidRequest: a field, its value or its size is not allowed; `unread` are fields of the request that the
    dialect does not forward.
    """
    _check_case(body, policy)
    if not policy.watched.isdisjoint(body):
        _closer(body, policy, "")
    if unread and not policy.watched.isdisjoint(unread):
        for name in unread:
            if name in policy.denied:
                raise _denied(name, policy.denied[name])
    if policy.tools is not None:
        _check_tools(body.get("tools"), policy.tools)
    if policy.parts or policy.part_keys:
        _check_parts(body.get("messages"), policy)
    if policy.local_schemas:
        schemas.check(body)


def _check_case(table: Mapping[str, Any], policy: FieldPolicy, where: str = "") -> None:
    """InvalidRequest: a name differs only in case from a field that matters."""
    for name in table:
        if name.isascii() and name.islower():
            continue
        usual = name.casefold()
        if usual != name and (usual in policy.watched or usual in _OWN):
            raise _denied(f"{where}{name[:60]}", f"it is spelled {usual!r}")


def _closer(table: Mapping[str, Any], policy: FieldPolicy, where: str) -> None:
    for name, value in table.items():
        if name not in policy.watched:
            continue
        param = f"{where}{name}"
        if name in policy.denied:
            raise _denied(param, policy.denied[name])
        if type(value) is str and value.strip().lower() in policy.values.get(name, ()):
            raise InvalidRequest(f"{param} may not be {value[:60]!r} here.", param=param, code=CODE)
        if name in policy.most:
            _check_size(param, value, policy.most[name])
        if name in policy.nests:
            _check_nest(param, value, policy, policy.nests[name])


def _check_nest(param: str, value: Any, policy: FieldPolicy, only: frozenset[str] | None) -> None:
    if type(value) is not dict:
        return
    for name in value if only is not None else ():
        if name not in only:  # type: ignore[operator]
            raise _denied(f"{param}.{name[:60]}", "not known to be harmless")
    _check_case(value, policy, f"{param}.")
    _closer(value, policy, f"{param}.")
    if param.rpartition(".")[2] == _MERGED:
        for name in _OWN.intersection(value):
            raise _denied(f"{param}.{name}", "it belongs at the top of the body, where it is read")


def _check_size(param: str, value: Any, most: int) -> None:
    size = len(value) if type(value) in (list, dict) else value
    if type(size) is str and param.rpartition(".")[2] not in _TEXTS:
        size = _number(size)
    if type(size) in (int, float) and not -1 < size <= most:
        listed = type(value) in (list, dict)
        what = f"may have at most {most} entries" if listed else f"may be at most {most}"
        raise InvalidRequest(f"{param} {what} here, not {str(size)[:40]}.", param=param, code=CODE)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _check_tools(tools: Any, kinds: Collection[str]) -> None:
    """A tool without a type must be a function: some APIs identify built-in tools by their keys alone."""
    for index, tool in enumerate(tools if type(tools) is list else ()):
        if type(tool) is not dict:
            continue
        kind = tool.get("type")
        if kind is None and "function" in tool and "function" in kinds:
            kind = "function"
        if type(kind) is not str or kind not in kinds:
            param = f"tools[{index}].type"
            message = f"{param} may not be {str(kind)[:60]!r} here, only {' or '.join(sorted(kinds))}."
            raise InvalidRequest(message, param=param, code=CODE)


def _check_parts(messages: Any, policy: FieldPolicy) -> None:
    for index, message in enumerate(messages if type(messages) is list else ()):
        content = message.get("content") if type(message) is dict else None
        if type(content) is not list:
            continue
        for place, part in enumerate(content):
            if type(part) is dict:
                _check_part(part, f"messages[{index}].content[{place}]", policy)


def _check_part(part: Mapping[str, Any], param: str, policy: FieldPolicy) -> None:
    kind = part.get("type")
    if type(kind) is str and kind in policy.parts:
        raise _denied(f"{param}.type", f"{kind!r} parts are not accepted from clients")
    for name, value in part.items():
        if name in policy.part_keys or name in policy.parts:
            raise _denied(f"{param}.{name}", "the backend would read data that is not the client's own")
        if type(value) is dict and not policy.part_keys.isdisjoint(value):
            raise _denied(f"{param}.{name}", f"it may not have {', '.join(policy.part_keys & value.keys())}")


def _denied(param: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{param} may not be set here: {why}.", param=param, code=CODE)
