"""Text that comes in pieces, up to the stop sequence that is complete first."""

from __future__ import annotations

from collections.abc import Sequence


class StopText:
    """`met` is the stop sequence that ended the text; None as long as none has come."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.met: str | None = None

    def push(self, text: str) -> str:
        """What is certain: an end that may be the beginning of a stop sequence is kept for the next piece."""
        text = self._held + text
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            # The one that is complete first, however the text is cut into pieces.
            at, self.met = min(found, key=lambda each: (each[0] + len(each[1]), each[0]))
            self._held = ""
            return text[:at]
        keep = max(_overlap(text, stop) for stop in self._stops)
        text, self._held = text[: len(text) - keep], text[len(text) - keep :]
        return text

    def finish(self) -> str:
        """What was kept and did not become a stop sequence."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the text's end are the beginning of a stop sequence."""
    return next((size for size in range(len(stop) - 1, 0, -1) if text.endswith(stop[:size])), 0)
