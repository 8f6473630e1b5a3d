"""Cuts text that arrives in pieces at the stop sequence that is complete first."""

from __future__ import annotations

from collections.abc import Sequence


class StopSequences:
    """`met` is the stop sequence that ended the text; None until one was found.

    The running time is proportional to the length of the text times the number of stop sequences, however the text is
    split: for each sequence, the length of its longest prefix that ends the text is carried from piece to piece
    (D. Knuth, J. Morris and V. Pratt, Fast Pattern Matching in Strings, 1977, doi:10.1137/0206024).
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._matchers = [_PrefixMatcher(stop) for stop in stops]
        self._longest = max(map(len, stops))
        self._held = ""
        self.met: str | None = None

    def push(self, text: str) -> str:
        """The text that can be shown; an end that may begin a stop sequence is held back for the next piece."""
        new, text = text, self._held + text
        found = [(at, matcher.stop) for matcher in self._matchers if (at := text.find(matcher.stop)) >= 0]
        if found:
            # The sequence that is complete first, however the text is split into pieces.
            at, self.met = min(found, key=lambda each: (each[0] + len(each[1]), each[0]))
            self.finish()
            return text[:at]
        if len(new) > self._longest:
            # Only the last characters can begin a sequence, as none is complete.
            new = new[-self._longest :]
            for matcher in self._matchers:
                matcher.size = 0
        keep = max(matcher.follow(new) for matcher in self._matchers)
        text, self._held = text[: len(text) - keep], text[len(text) - keep :]
        return text

    def finish(self) -> str:
        """The text that was held back and did not become a stop sequence."""
        held, self._held = self._held, ""
        for matcher in self._matchers:
            matcher.size = 0
        return held


class _PrefixMatcher:
    """A stop sequence, and the `size` of its longest prefix that ends the text so far."""

    __slots__ = ("_shorter", "size", "stop")

    def __init__(self, stop: str) -> None:
        self.stop = stop
        self.size = 0
        # The failure function: for each proper prefix, the size of the longest shorter one that ends it.
        self._shorter = [0, 0]

    def follow(self, text: str) -> int:
        """The size after more text, which does not complete the stop sequence."""
        stop, size = self.stop, self.size
        for character in text:
            while size and stop[size] != character:
                size = self._next_shorter(size)
            size += stop[size] == character
        self.size = size
        return size

    def _next_shorter(self, size: int) -> int:
        stop, shorter = self.stop, self._shorter
        while len(shorter) <= size:
            last = len(shorter) - 1
            found = shorter[last]
            while found and stop[found] != stop[last]:
                found = shorter[found]
            shorter.append(found + (stop[found] == stop[last]))
        return shorter[size]
