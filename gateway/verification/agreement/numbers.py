"""Whether two answers end with the same number, where the number is what they answer."""

from __future__ import annotations

import re

from gateway.core.answer import AnswerContent
from gateway.verification.agreement.normal_text import last_line
from gateway.verification.extract import boxed
from gateway.verification.numeric import NumericSettings
from gateway.verification.protocol import AnswerTask

# So many words are a number with its unit, and no sentence in which one happens to be.
_FEW_WORDS = 4
_DIGITS = re.compile(r"\d")
_NUMBERS = re.compile(r"\d[\d.,'_\u00a0\u202f/]*")
# What stands before the result in a line that says it: `= 12`, `the answer is 12`, `Total: 12 km`.
_RESULT = re.compile(
    r"(?:=|:|\b(?:is|are|equals|answer|result|total|gives|ist|es|est)\b)[\s*_`$]*[-+\u2212]?[$\u20ac\u00a3]?\.?\d[^=:\n]{0,40}$",
    re.IGNORECASE,
)
_AS_IS = NumericSettings(kind="numeric", percent="ignore")
_HUNDREDTH = NumericSettings(kind="numeric")


def compare(one: str, other: str) -> bool | None:
    first, second = result(one), result(other)
    if first is None or second is None:
        return None
    # 12 % is .12, and also what somebody who was to answer in per cent calls 12.
    return _is(_AS_IS, first, second) or _is(_HUNDREDTH, first, second)


def result(text: str) -> str | None:
    """The part of an answer that holds its result, a number; None: it is no number, or not said to be the result."""
    inner = boxed(text)
    if inner is not None:
        return inner if _HUNDREDTH.number(inner) is not None else None
    line = last_line(text).strip().rstrip(".*_` ")
    short = len(text.split(None, _FEW_WORDS)) <= _FEW_WORDS and len(_NUMBERS.findall(line)) == 1
    said = None if short else _RESULT.search(line)
    found = line if short else said[0] if said is not None else None
    if found is None or not _DIGITS.search(found) or _HUNDREDTH.number(found) is None:
        return None
    return found


def _is(settings: NumericSettings, one: str, other: str) -> bool:
    return settings.score(AnswerTask(expected=one), AnswerContent(other)) == 1
