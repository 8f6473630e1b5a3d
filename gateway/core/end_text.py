"""Parses the text that ends reasoning."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

# Closing markers and their opening ones: </think>, [/THINK], <channel|>, <|END_THINKING|>.
_MARKS = (
    (re.compile(r"([<\[])/([^<>\[\]\s]+[>\]])"), r"\1\2"),
    (re.compile(r"<([^<>|\s]+)\|>"), r"<|\1>"),
    (re.compile(r"<\|END_([^<>|\s]+)\|>"), r"<|START_\1|>"),
)
_TAG = re.compile(r"<([^<>/\s]+)>")


class EndText(NamedTuple):
    """`mark` closes reasoning that `start` opened; text `before` it belongs to the reasoning, text `after` it to the
    answer, which clients see without tags. `stray` are markers that are meaningless in an answer.
    """

    start: str
    before: str
    mark: str
    after: str
    shown: str
    stray: tuple[str, ...]


@cache
def parse_end_text(end_text: str) -> EndText | None:
    """Parse an end text; None: it has no closing marker."""
    found = next(((match, start) for mark, start in _MARKS if (match := mark.search(end_text))), None)
    if found is None:
        return None
    match, start = found
    after = end_text[match.end() :]
    tags = _TAG.findall(after)
    stray = (match[0], *(f"</{tag}>" for tag in tags))
    before = end_text[: match.start()]
    return EndText(match.expand(start), before, match[0], after, "" if tags else after, stray)
