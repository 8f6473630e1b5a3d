"""Whether two answers to one request agree, and by what that was found: the first comparison that can tell counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from gateway.core.answer import AnswerContent
from gateway.verification.agreement import choices, code, json_values, labels, lists, numbers, tool_calls
from gateway.verification.agreement.normal_text import normal

Verdict = Literal["equal", "different", "unknown"]

# True: both say the same; False: they do not; None: the form of the answers cannot tell. Pure, and quick: they run in a
# thread beside the event loop, on texts that clients and models have written.
Comparison = Callable[[str, str], bool | None]
COMPARISONS: dict[str, Comparison] = {
    "json": json_values.compare,
    "choice": choices.compare,
    "numeric": numbers.compare,
    "set": lists.compare,
    "label": labels.compare,
    "code": code.compare,
}


class Agreement(NamedTuple):
    """`by` is the name of the comparison that told; with `unknown`, why none could."""

    verdict: Verdict
    by: str


def compare(one: AnswerContent, other: AnswerContent) -> Agreement:
    """Symmetric. Different texts are `different` only where their form says what counts: numbers, JSON, labels, lists,
    choices and calls of tools. Free texts and code that are worded differently may still say the same: `unknown`.
    """
    if one.tool_calls or other.tool_calls:
        return _told(tool_calls.compare(one.tool_calls, other.tool_calls), "tool_calls")
    if not normal(one.text) or not normal(other.text):
        return Agreement("unknown", "empty")
    if normal(one.text) == normal(other.text):
        return Agreement("equal", "exact")
    for name, comparison in COMPARISONS.items():
        found = comparison(one.text, other.text)
        if found is not None:
            return _told(found, name)
    return Agreement("unknown", "text")


def _told(same: bool, by: str) -> Agreement:
    return Agreement("equal" if same else "different", by)
