"""Terms of a text, and its structural counts.

Digits count as one symbol in terms ("47" and "91" are the same word), so terms identify the *kind of task*, and
structural counts measure its size. All passes over the text use the interpreter's built-in types: most requests are
short, and NumPy calls would cost more in overhead than they save.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from itertools import accumulate, pairwise, repeat
from math import log1p


def _table(*ranges: tuple[int, int, bytes], rest: bytes = b"") -> bytes:
    """A translation table for bytes: each range (first, last, replacement), all others to `rest` or unchanged."""
    table = bytearray(rest * 256 or range(256))
    for first, last, becomes in ranges:
        size = last + 1 - first
        table[first : last + 1] = becomes * (size // len(becomes))
    return bytes(table)


_LOWER = bytes(range(97, 123))
_FOLDED = _table((65, 90, _LOWER), (48, 57, b"0"), (9, 13, b" "))
_LETTERS = _table((65, 90, _LOWER), (97, 122, _LOWER), (95, 95, b"_"), (128, 255, bytes(range(128, 256))), rest=b" ")
_CASES = _table((65, 90, b"A"), (97, 122, b"a"), (95, 95, b"a"), (128, 255, b"a"), rest=b" ")
_DIGITS = _table((48, 57, b"0123456789"), rest=b" ")
_TOKEN = re.compile(rb"0+|[a-z_\x80-\xff]+|[^ 0a-z_\x80-\xff]")
_LISTED = re.compile(rb"^[-*0-9]", re.MULTILINE)
_BRACKET = re.compile(rb"[()\[\]{}]")
_NESTING = {bracket: 1 if bracket in b"([{" else -1 for bracket in (b"(", b")", b"[", b"]", b"{", b"}")}
ASCII = bytes(range(128))
_COUNTED = tuple(bytes([byte]) for byte in b"+-*/=<>%^;,.:?!()[]{}\"'|#_@&$`")
TEXT_NAMES = (
    *("bytes", "words", "non-ascii"),
    *("lines", "longest line", "blank lines", "list lines"),
    *("digits", "numbers", "longest number", "second number", "shortest number", "long numbers", "top number"),
    *("letters", "capitalised", "single capitals", "mean word", "longest word"),
    *("top word", "second word", "third word"),
    *("distinct words", "top pair", "repeated pairs"),
    "bracket depth",
    *(f"count {mark.decode()!r}" for mark in _COUNTED),
)
NOTHING = [0.0] * len(TEXT_NAMES)


def terms_of(text: bytes) -> set[bytes]:
    """The distinct tokens and pairs of adjacent tokens."""
    tokens = tokens_of(text)
    return {*tokens, *map(b" ".join, pairwise(tokens))}


def folded(text: bytes) -> bytes:
    """In lower case, with one symbol for all digits and spaces for all white space."""
    return text.translate(_FOLDED)


def tokens_of(text: bytes) -> list[bytes]:
    """Words, numbers and single marks."""
    return _TOKEN.findall(folded(text))


def read(text: bytes) -> tuple[list[float], set[bytes]]:
    """log(1 + count) of a text's properties, in the order of `TEXT_NAMES`, and its terms."""
    tokens = tokens_of(text)
    if not tokens:
        return NOTHING, set()
    single = Counter(tokens)
    pairs = Counter(map(b" ".join, pairwise(tokens)))
    counts = [
        *(len(text), len(tokens), len(text.translate(None, ASCII))),
        *_lines(text),
        *_numbers(text),
        *_words(text),
        *(len(single), max(pairs.values(), default=0), len(tokens) - 1 - len(pairs)),
        _depth(text),
        *map(single.get, _COUNTED, repeat(0)),
    ]
    return list(map(log1p, counts)), {*single, *pairs}


def _lines(text: bytes) -> tuple[float, ...]:
    lines = text.split(b"\n")
    return len(lines), max(map(len, lines)), lines.count(b""), len(_LISTED.findall(text))


def _numbers(text: bytes) -> tuple[float, ...]:
    numbers = text.translate(_DIGITS).split()
    if not numbers:
        return 0, 0, 0, 0, 0, 0, 0
    # The most frequent number, by its actual digits; in terms all digits are alike.
    most = max(Counter(numbers).values())
    lengths = sorted(map(len, numbers))
    second = lengths[-2] if len(lengths) > 1 else 0
    long = len(lengths) - bisect_right(lengths, 2)
    return sum(lengths), len(lengths), lengths[-1], second, lengths[0], long, most


def _words(text: bytes) -> tuple[float, ...]:
    words = text.translate(_LETTERS).split()
    if not words:
        return 0, 0, 0, 0, 0, 0, 0, 0
    lengths = list(map(len, words))
    # Two spaces between words, so that adjacent single letters are both counted.
    cases = b" " + text.translate(_CASES).replace(b" ", b"  ") + b" "
    first, second, third, *_ = *sorted(Counter(words).values(), reverse=True), 0, 0
    capitals = cases.count(b" A"), cases.count(b" A ")
    return sum(lengths), *capitals, sum(lengths) / len(words), max(lengths), first, second, third


def _depth(text: bytes) -> float:
    return max(0, *accumulate(map(_NESTING.__getitem__, _BRACKET.findall(text))), 0)
