"""Whether two answers that are JSON objects or lists are the same value. A list of texts is compared as a set."""

from __future__ import annotations

from typing import Any

from gateway.verification.exact import same_json
from gateway.verification.extract import parsed
from gateway.verification.unordered import SetSettings

_SET = SetSettings(kind="set")


def compare(one: str, other: str) -> bool | None:
    first, second = parsed(one), parsed(other)
    if not isinstance(first, dict | list) or not isinstance(second, dict | list):
        return None
    if _is_labels(first) and _is_labels(second):
        return _SET.entries(first) == _SET.entries(second)
    return same_json(first, second)


def _is_labels(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
