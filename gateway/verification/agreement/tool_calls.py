"""Whether two answers call the same tools with the same arguments, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from gateway.core.answer import CalledTool
from gateway.verification.exact import same_json


def compare(one: Sequence[CalledTool], other: Sequence[CalledTool]) -> bool:
    left = [(call.name, _arguments(call)) for call in other]
    for call in one:
        mine = call.name, _arguments(call)
        at = next((at for at, its in enumerate(left) if its[0] == mine[0] and same_json(its[1], mine[1])), None)
        if at is None:
            return False
        del left[at]
    return not left


def _arguments(call: CalledTool) -> Any:
    """Their JSON value; the text itself where it is none."""
    try:
        return orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        return call.arguments
