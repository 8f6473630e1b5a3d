"""Text that comes in pieces, without a mark that may be in it."""

from __future__ import annotations


class Without:
    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._held = ""

    def push(self, text: str) -> str:
        """What is certain: an end that may be the beginning of the mark is kept for the next piece."""
        text = (self._held + text).replace(self._mark, "") if self._mark else text
        keep = next((size for size in range(len(self._mark) - 1, 0, -1) if text.endswith(self._mark[:size])), 0)
        text, self._held = text[: len(text) - keep], text[len(text) - keep :]
        return text

    def finish(self) -> str:
        held, self._held = self._held, ""
        return held
