"""How many tokens a text has that came by in pieces, where nobody reported them.

Most engines send one token a piece, some a few (speculative decoding, `stream_interval`), some whole texts (tool calls,
plain answers). So a piece counts as a token where pieces are as short as tokens are, and else tokens are counted by
bytes, about four each, as in English or code. Scripts that take three bytes a character have no more tokens than that.
"""

from __future__ import annotations

BYTES_PER_TOKEN = 4
# Pieces that are longer on average hold several tokens each; a token has four or five bytes in most texts.
LONG_PIECE = 8
# One that is so long is no token, whatever the others are.
HUGE_PIECE = 32
# On average over an answer no token is as long as this, in bytes.
LONGEST_TOKEN = 16
# A report that is short of what came by, by more than this, is disbelieved: engines may send a token in two pieces.
DOUBT, DOUBT_TOKENS = 0.25, 8


class Tally:
    """`add` each piece as it comes. `pieces` with anything in them came, of `size` bytes."""

    __slots__ = ("_huge", "_huge_pieces", "pieces", "size")

    def __init__(self, pieces: int = 0, size: int = 0) -> None:
        self.pieces, self.size = pieces, size
        self._huge = self._huge_pieces = 0

    def add(self, text: str) -> None:
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if size:
            self.pieces += 1
            self.size += size
            if size > HUGE_PIECE:
                self._huge += size
                self._huge_pieces += 1

    @property
    def tokens(self) -> int:
        """About how many tokens it has; at least one for each piece."""
        pieces, size = self.pieces - self._huge_pieces, self.size - self._huge
        usual = pieces if size <= LONG_PIECE * pieces else -(-size // BYTES_PER_TOKEN)
        return usual + -(-self._huge // BYTES_PER_TOKEN)

    @property
    def least(self) -> int:
        """How many tokens it has for sure."""
        return max(self.pieces, self.size // LONGEST_TOKEN)

    def plus(self, other: Tally) -> Tally:
        both = Tally(self.pieces + other.pieces, self.size + other.size)
        both._huge, both._huge_pieces = self._huge + other._huge, self._huge_pieces + other._huge_pieces
        return both

    def believed(self, reported: int | None) -> int:
        """The tokens that a backend reports, unless many more have come by."""
        if reported is None or reported < self.least / (1 + DOUBT) - DOUBT_TOKENS:
            return self.tokens
        return reported
