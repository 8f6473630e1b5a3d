"""How property tests run here: the same examples every time, few enough for every change to be tested."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

QUICK = settings(max_examples=200, derandomize=True, deadline=None, database=None)
# Where an example is more than a call: a request, a file, a database.
FEW = settings(QUICK, max_examples=100)


def whole(value: Any) -> Any:
    """The same JSON with every whole number written without a point: to schemas 1.0 is an integer, too."""
    if isinstance(value, dict):
        return {name: whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
