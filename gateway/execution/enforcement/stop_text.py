"""Text that comes in pieces, up to the stop sequence that is complete first."""

from __future__ import annotations

from collections.abc import Sequence


class StopSequences:
    """`met` is the stop sequence that ended the text; None as long as none has come.

    Its work grows with the text and with the number of stop sequences, never with their product with the pieces:
    how much of each stop sequence the text ends in is carried from piece to piece (Knuth, Morris and Pratt).
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._begun = [_Begun(stop) for stop in stops]
        self._longest = max(map(len, stops))
        self._held = ""
        self.met: str | None = None

    def push(self, text: str) -> str:
        """What is certain: an end that may be the beginning of a stop sequence is kept for the next piece."""
        new, text = text, self._held + text
        found = [(at, begun.stop) for begun in self._begun if (at := text.find(begun.stop)) >= 0]
        if found:
            # The one that is complete first, however the text is cut into pieces.
            at, self.met = min(found, key=lambda each: (each[0] + len(each[1]), each[0]))
            self.finish()
            return text[:at]
        if len(new) > self._longest:
            # None is complete, so only so much of its end can be the beginning of one.
            new = new[-self._longest :]
            for begun in self._begun:
                begun.size = 0
        keep = max(begun.follow(new) for begun in self._begun)
        text, self._held = text[: len(text) - keep], text[len(text) - keep :]
        return text

    def finish(self) -> str:
        """What was kept and did not become a stop sequence."""
        held, self._held = self._held, ""
        for begun in self._begun:
            begun.size = 0
        return held


class _Begun:
    """A stop sequence, and the `size` of its beginning in which the text ends."""

    __slots__ = ("_shorter", "size", "stop")

    def __init__(self, stop: str) -> None:
        self.stop = stop
        self.size = 0
        # For each beginning of it but the whole, the size of the next shorter one in which that ends; made as needed.
        self._shorter = [0, 0]

    def follow(self, text: str) -> int:
        """The size after so much more text, in which the whole does not come."""
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
