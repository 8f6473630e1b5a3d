"""Settings of property tests: the same examples every time, and few enough for every change.

`make fuzz` is there for many.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

QUICK = settings(max_examples=100, derandomize=True, deadline=None, database=None)
# Where an example is more than a call: a request, a file, a database.
FEW = settings(QUICK, max_examples=50)
# Where an example alone takes a tenth of a second to be made: some of them, and many in the soak parts.
thorough = pytest.mark.parametrize(
    "examples",
    [settings(QUICK, max_examples=20), pytest.param(settings(QUICK, max_examples=200), marks=pytest.mark.long)],
    ids=["some", "many"],
)


def whole(value: Any) -> Any:
    """The same JSON with every whole number without a point, as schemas take 1.0 for one, and within 64 bits."""
    if isinstance(value, dict):
        return {name: whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return 0 if isinstance(value, int) and not -(2**63) <= value < 2**64 else value
