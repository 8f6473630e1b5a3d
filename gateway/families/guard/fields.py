"""Fields that clients may not send to a backend: refused by name, wherever a dialect carries them through."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gateway.core.errors import InvalidRequest
from gateway.core.field_policy import FieldPolicy

CODE = "field_not_allowed"


def check(body: Mapping[str, Any], policy: FieldPolicy, unread: Collection[str] = ()) -> None:
    """InvalidRequest: a field, its value or its size is not allowed; `unread` are the names of fields that the client
    sent and the dialect does not carry through.
    """
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


def _closer(table: Mapping[str, Any], policy: FieldPolicy, where: str) -> None:
    for name, value in table.items():
        if name not in policy.watched:
            continue
        param = f"{where}{name}"
        if name in policy.denied:
            raise _denied(param, policy.denied[name])
        if type(value) is str and value in policy.values.get(name, ()):
            raise InvalidRequest(f"{param} may not be {value!r} here.", param=param, code=CODE)
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
    _closer(value, policy, f"{param}.")


def _check_size(param: str, value: Any, most: int) -> None:
    size = len(value) if type(value) in (list, dict) else value
    if type(size) in (int, float) and not -1 < size <= most:
        what = f"may be at most {most}" if size is value else f"may have at most {most} entries"
        raise InvalidRequest(f"{param} {what} here, not {str(size)[:40]}.", param=param, code=CODE)


def _check_tools(tools: Any, kinds: Collection[str]) -> None:
    for index, tool in enumerate(tools if type(tools) is list else ()):
        kind = tool.get("type", "function") if type(tool) is dict else None
        if type(kind) is str and kind not in kinds:
            param = f"tools[{index}].type"
            said = f"{param} may not be {kind[:60]!r} here, only {' or '.join(sorted(kinds))}."
            raise InvalidRequest(said, param=param, code=CODE)


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
        raise _denied(f"{param}.type", f"{kind!r} parts are not taken from clients")
    for name, value in part.items():
        if name in policy.part_keys or name in policy.parts:
            raise _denied(f"{param}.{name}", "the backend would read it from what is not the client's own")
        if type(value) is dict and not policy.part_keys.isdisjoint(value):
            raise _denied(f"{param}.{name}", f"it may not have {', '.join(policy.part_keys & value.keys())}")


def _denied(param: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{param} may not be set here: {why}.", param=param, code=CODE)
