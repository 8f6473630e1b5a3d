"""Whether two answers that are one word each are the same word: labels, names, yes and no."""

from __future__ import annotations

import re

from gateway.verification.agreement.normal_text import normal

_WORD = re.compile(r"[^\W\d_][\w/-]{0,39}").fullmatch


def compare(one: str, other: str) -> bool | None:
    first, second = normal(one), normal(other)
    return first == second if _WORD(first) and _WORD(second) else None
