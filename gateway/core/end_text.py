"""The text that ends a thought, taken apart."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

# What closes a thought, and what had opened it: </think>, [/THINK], <channel|>, <|END_THINKING|>.
_MARKS = (
    (re.compile(r"([<\[])/([^<>\[\]\s]+[>\]])"), r"\1\2"),
    (re.compile(r"<([^<>|\s]+)\|>"), r"<|\1>"),
    (re.compile(r"<\|END_([^<>|\s]+)\|>"), r"<|START_\1|>"),
)
_TAG = re.compile(r"<([^<>/\s]+)>")


class EndText(NamedTuple):
    """`mark` closes the thought that `start` opened; what comes `before` it belongs to the thought, what comes `after`
    it to the answer, which clients see but for its tags. `stray` are marks that may be in an answer and mean nothing.
    """

    start: str
    before: str
    mark: str
    after: str
    shown: str
    stray: tuple[str, ...]


@cache
def parse_end_text(end_text: str) -> EndText | None:
    """None: there is no mark in it that closes what another one opens."""
    found = next(((match, start) for mark, start in _MARKS if (match := mark.search(end_text))), None)
    if found is None:
        return None
    match, start = found
    after = end_text[match.end() :]
    tags = _TAG.findall(after)
    stray = (match[0], *(f"</{tag}>" for tag in tags))
    before = end_text[: match.start()]
    return EndText(match.expand(start), before, match[0], after, "" if tags else after, stray)
