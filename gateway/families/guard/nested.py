"""Walks JSON of any depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def nested(value: Any) -> Iterator[Any]:
    """The value and everything in it, breadth first; without recursion, as clients choose the depth."""
    level = [value]
    while level:
        yield from level
        level = [
            inner
            for outer in level
            if type(outer) in (dict, list)
            for inner in (outer.values() if type(outer) is dict else outer)
        ]
