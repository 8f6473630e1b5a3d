"""Whether two answers choose the same of several options, which are named by letters."""

from __future__ import annotations

import re

from gateway.verification.agreement.normal_text import last_line
from gateway.verification.extract import boxed

_ALONE = re.compile(r"[\s*_`]*\(?([A-Ja-j])\)?[\s.*_`]*").fullmatch
# `(B) 12 apples` or `B) 12 apples` or `**B.** 12 apples`, as a line that names an option and repeats it.
_LEADING = re.compile(r"[\s*_`]*(?:\(([A-J])\)|([A-J])[).:])[*_`]*\s").match
_SAID = re.compile(
    r"\b(?:answer|choice|option|antwort|respuesta|r[ée]ponse)\b(?:\s+(?:is|ist|es|est))?\s*:?[\s*_`]*\(?([A-J])\)?(?![\w'])",
    re.IGNORECASE,
)


def compare(one: str, other: str) -> bool | None:
    first, second = choice(one), choice(other)
    return None if first is None or second is None else first == second


def choice(text: str) -> str | None:
    """The letter that an answer ends with, in upper case; None: it names none."""
    inner = boxed(text)
    line = last_line(text) if inner is None else inner
    alone = _ALONE(line) or _ALONE(text)
    if alone is not None:
        return alone[1].upper()
    if inner is not None:
        return None
    said = _SAID.findall(line)
    # A capital letter alone: "option a" may go on.
    if said and said[-1].isupper():
        return str(said[-1])
    leading = _LEADING(text) if "\n" not in text.strip() else None
    return None if leading is None else leading[1] or leading[2]
