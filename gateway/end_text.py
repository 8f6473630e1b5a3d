"""The text that ends a thought, taken apart."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

_MARK = re.compile(r"([<\[])/([^<>\[\]\s]+)([>\]])")
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
def parted(end_text: str) -> EndText | None:
    """None: there is no mark in it that closes what another one opens."""
    found = _MARK.search(end_text)
    if found is None:
        return None
    left, name, right = found.groups()
    after = end_text[found.end() :]
    tags = _TAG.findall(after)
    stray = (found[0], *(f"</{tag}>" for tag in tags))
    return EndText(left + name + right, end_text[: found.start()], found[0], after, "" if tags else after, stray)
