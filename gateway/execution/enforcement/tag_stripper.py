"""Removes tags from text that arrives in pieces."""

from __future__ import annotations

from collections.abc import Sequence


class TagStripper:
    def __init__(self, marks: Sequence[str]) -> None:
        self._marks = marks
        self._held = ""

    def push(self, text: str) -> str:
        """The text that can be shown; an end that may begin a tag is held back for the next piece."""
        text = self._held + text
        for mark in self._marks:
            text = text.replace(mark, "")
        keep = max((_overlap(text, mark) for mark in self._marks), default=0)
        text, self._held = text[: len(text) - keep], text[len(text) - keep :]
        return text

    def finish(self) -> str:
        held, self._held = self._held, ""
        return held


def _overlap(text: str, mark: str) -> int:
    """How many characters at the end of `text` are the beginning of `mark`, but not all of it."""
    return next((size for size in range(len(mark) - 1, 0, -1) if text.endswith(mark[:size])), 0)
