"""Names of efforts in the reasoner's tables: `no`, a budget in tokens, `full`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def mode_of(row: Mapping[str, Any]) -> str:
    """`no`, a budget in tokens, or `full`."""
    if row["mode"] == "nothink":
        return "no"
    return "full" if row["budget"] is None else str(int(row["budget"]))


def order(mode: str) -> float:
    """Sorts efforts from none to unlimited."""
    return {"no": -1.0, "full": math.inf}[mode] if mode in ("no", "full") else float(mode)
