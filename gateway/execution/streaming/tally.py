"""Estimates how many tokens a streamed text has, where the backend does not report them.

Most engines send one token per chunk, some a few (speculative decoding, `stream_interval`), some whole texts (tool
calls, plain answers). So a chunk counts as one token where chunks are as short as tokens are; otherwise tokens are
estimated from bytes, at four bytes each, as in English or code. Scripts with three bytes per character do not have more
tokens than that.
"""

from __future__ import annotations

BYTES_PER_TOKEN = 4
# Chunks longer than this on average hold several tokens each; a token has four or five bytes in most texts.
LONG_PIECE = 8
# A chunk longer than this is never a single token.
HUGE_PIECE = 32
# The average token of an answer is shorter than this, in bytes.
LONGEST_TOKEN = 16
# A report is rejected if it is lower than the observed minimum by more than this share plus this many tokens, as
# engines may send one token in two chunks.
DOUBT, DOUBT_TOKENS = 0.25, 8


class Tally:
    """`pieces` is the number of non-empty chunks added, `size` their total size in bytes."""

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
        """The estimated number of tokens; at least one per chunk."""
        pieces, size = self.pieces - self._huge_pieces, self.size - self._huge
        usual = pieces if size <= LONG_PIECE * pieces else -(-size // BYTES_PER_TOKEN)
        return usual + -(-self._huge // BYTES_PER_TOKEN)

    @property
    def least(self) -> int:
        """A lower bound of the number of tokens."""
        return max(self.pieces, self.size // LONGEST_TOKEN)

    def plus(self, other: Tally) -> Tally:
        both = Tally(self.pieces + other.pieces, self.size + other.size)
        both._huge, both._huge_pieces = self._huge + other._huge, self._huge_pieces + other._huge_pieces
        return both

    def reconciled(self, reported: int | None) -> int:
        """The number of tokens that a backend reports, unless clearly more were observed."""
        if reported is None or reported < self.least / (1 + DOUBT) - DOUBT_TOKENS:
            return self.tokens
        return reported
