"""Elements (`<name …>…</name>`) of a text that contain no other's, outside of fenced code: found in one pass.

An element counts only when it is closed. What a page or a file opens and does not close can therefore hide nothing that
follows, and what stands inside of another element or of fenced code is never taken for a client's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

# Texts with more marks are taken as they are: marked-up material, and work for each mark has to stay bounded.
MOST_MARKS = 1_000
_TAG = re.compile(r"<(/?)([A-Za-z][\w.:-]{0,60})((?:\s[^<>]{0,300})?)>")
_FENCE = re.compile(r"^[ \t]{0,3}(?:```|~~~)", re.MULTILINE)
_WORDS = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+")


@dataclass(frozen=True, slots=True)
class Element:
    """Places in the text: `start` and `end` of the whole, `inner` and `close` of the content."""

    name: str
    start: int
    inner: int
    close: int
    end: int
    attributes: bool


def elements_of(text: str) -> list[Element]:
    """The outermost closed elements, in order; none where there are more than MOST_MARKS marks."""
    marks = list(_marks(text))
    if len(marks) > MOST_MARKS:
        return []
    closed: list[Element] = []
    stack: list[re.Match[str]] = []
    names: Counter[str] = Counter()
    for tag in marks:
        name = tag[2]
        if not tag[1]:
            if not tag[3].endswith("/"):
                stack.append(tag)
                names[name] += 1
        elif names[name]:
            while (opened := stack.pop())[2] != name:
                names[opened[2]] -= 1
            names[name] -= 1
            while closed and closed[-1].start > opened.start():
                closed.pop()
            closed.append(
                Element(words_of(name), opened.start(), opened.end(), tag.start(), tag.end(), bool(opened[3].strip()))
            )
    return closed


def words_of(name: str) -> str:
    """The words of a name in lower case, separated by spaces."""
    return " ".join(_WORDS.findall(name)).lower()


def _marks(text: str) -> Iterator[re.Match[str]]:
    """The tags outside of fenced code. A fence inside of an element that is still open is the element's own."""
    if "<" not in text:
        return
    fences = [m.start() for m in _FENCE.finditer(text)] if "```" in text or "~~~" in text else []
    tags = _TAG.finditer(text)
    if not fences:
        yield from _first(tags)
        return
    yield from _outside(list(_first(tags)), fences)


def _first(tags: Iterator[re.Match[str]]) -> Iterator[re.Match[str]]:
    for count, tag in enumerate(tags):
        yield tag
        if count >= MOST_MARKS:
            return


def _outside(tags: list[re.Match[str]], fences: list[int]) -> Iterator[re.Match[str]]:
    closings: Counter[str] = Counter(tag[2] for tag in tags if tag[1])
    open_names: list[str] = []
    still_open: Counter[str] = Counter()
    at = 0
    inside_until = -1
    for tag in tags:
        while at < len(fences) and fences[at] < tag.start():
            if not open_names and at + 1 < len(fences) and fences[at] > inside_until:
                inside_until = fences[at + 1]
            at += 1
        if tag[1]:
            closings[tag[2]] -= 1
        if tag.start() < inside_until:
            continue
        if not tag[1] and closings[tag[2]] > 0:
            open_names.append(tag[2])
            still_open[tag[2]] += 1
        elif tag[1] and still_open[tag[2]]:
            while (name := open_names.pop()) != tag[2]:
                still_open[name] -= 1
            still_open[tag[2]] -= 1
        yield tag
