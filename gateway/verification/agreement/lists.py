"""Whether two answers list the same short entries, in any order."""

from __future__ import annotations

import re

from gateway.verification.unordered import SetSettings

_SET = SetSettings(kind="set")
_MARKED = re.compile(r"^\s*(?:[-*+\u2022]|\d{1,4}[.)])\s+\S")
# Labels and names, not sentences.
_MOST_CHARACTERS, _MOST_WORDS = 40, 4


def compare(one: str, other: str) -> bool | None:
    first, second = entries(one), entries(other)
    return None if first is None or second is None else first == second


def entries(text: str) -> frozenset[str] | None:
    """Of a text that is nothing but a list: marked lines, or one line with commas or semicolons between entries."""
    lines = [line for line in text.splitlines() if line.strip()]
    marked = len(lines) > 1 and all(map(_MARKED.match, lines))
    separated = len(lines) == 1 and ("," in text or ";" in text)
    found = _SET.entries(text) if marked or separated else None
    if not found or any(len(entry) > _MOST_CHARACTERS or len(entry.split()) > _MOST_WORDS for entry in found):
        return None
    return found
