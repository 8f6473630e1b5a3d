"""What a request looks like to the router: hashed n-grams of its words and a row of structural counts. NumPy only.

Everything is computed on the UTF-8 bytes with whole-array operations, so the cost is a few dozen array passes whatever
the text, and the hashes do not depend on the process. Digits count as one symbol in n-grams ("47" and "91" are the same
word), so n-grams say *which kind of work* this is; how much of it there is, the structural counts say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEATURES_VERSION = 1
BUCKETS = 1 << 14
# So few hashes are sorted faster than all buckets are counted.
FEW = 1500
# Longer texts keep their two ends: the time of a decision must not grow without bound.
LONGEST = 65_536

U64 = NDArray[np.uint64]
F32 = NDArray[np.float32]

_BASE = np.uint64(0x100000001B3)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - 14)
_LONGEST_WORD = 32
_POWERS = np.cumprod(np.concatenate([[np.uint64(1)], np.full(_LONGEST_WORD - 1, _BASE)]), dtype=np.uint64)
_SPACE, _PUNCTUATION, _LETTER, _DIGIT = 0, 1, 2, 3


def _byte_classes() -> NDArray[np.uint8]:
    classes = np.full(256, _PUNCTUATION, np.uint8)
    classes[[9, 10, 11, 12, 13, 32]] = _SPACE
    classes[128:] = _LETTER
    for byte in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_":
        classes[byte] = _LETTER
    classes[48:58] = _DIGIT
    return classes


def _folded_bytes() -> NDArray[np.uint8]:
    table = np.arange(256, dtype=np.uint8)
    table[65:91] += 32
    table[48:58] = 48
    table[[9, 11, 12, 13]] = 32
    return table


def _nesting() -> NDArray[np.int32]:
    table = np.zeros(256, np.int32)
    for opening, closing in (b"()", b"[]", b"{}"):
        table[opening], table[closing] = 1, -1
    return table


_CLASSES = _byte_classes()
_FOLDED = _folded_bytes()
_NESTING = _nesting()
_COUNTED = b"+-*/=<>%^;,.:?!()[]{}\"'|#_@&$`\n"
_COUNTED_INDEX = np.frombuffer(_COUNTED, np.uint8)
_COUNTED_NAMES = tuple(f"count {chr(byte)!r}" for byte in _COUNTED)
_TEXT_NAMES = (
    *("bytes", "words", "non-ascii"),
    *("lines", "longest line", "blank lines", "list lines"),
    *("digits", "numbers", "longest number", "second number", "shortest number", "long numbers", "top number"),
    *(
        "letters",
        "capitalised",
        "single capitals",
        "mean word",
        "longest word",
        "top word",
        "second word",
        "third word",
    ),
    *("distinct words", "top pair", "repeated pairs"),
    "bracket depth",
    *_COUNTED_NAMES,
)
_REQUEST_NAMES = (
    "messages",
    "user turns",
    "system",
    "system chars",
    "tools",
    "tool results",
    "tool calls",
    "ends with tool",
    "parts",
)
_NO_COUNTS = np.zeros(len(_TEXT_NAMES))
DENSE_NAMES = tuple(f"last {n}" for n in _TEXT_NAMES) + tuple(f"rest {n}" for n in _TEXT_NAMES) + _REQUEST_NAMES


@dataclass(frozen=True, slots=True)
class Features:
    """`dense`: float32 [len(DENSE_NAMES)], log(1 + count).

    `buckets`, `weights`: the hashed n-grams, L2 norm 1 (empty if no text).
    """

    dense: F32
    buckets: NDArray[np.int64]
    weights: F32


def featurize(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None) -> Features:
    """Features of a whole request. Never raises on odd content: what is not text is counted or left out."""
    last, rest, system, request = _views(messages, tools or ())
    dense, hashes = [], [np.zeros(0, np.uint64)]
    for seed, text in enumerate((last, rest), 1):
        words = _Words(text) if text else None
        dense.append(words.counts() if words else _NO_COUNTS)
        hashes += words.grams(seed) if words else []
    for seed, text in enumerate((system, _tool_text(tools or ())), 3):
        hashes += _Words(text).grams(seed)[:1] if text else []
    buckets, weights = bag(np.concatenate(hashes))
    return Features(np.log1p(np.concatenate([*dense, request])).astype(np.float32), buckets, weights)


def _views(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
) -> tuple[bytes, bytes, bytes, NDArray[np.float64]]:
    """The last user message, the rest of the conversation, the system text, and the counts of the request."""
    roles = [str(message.get("role", "")) for message in messages]
    texts = [text_of(message) for message in messages]
    last = max((i for i, role in enumerate(roles) if role == "user"), default=len(roles) - 1)
    rest = "\n".join(t for i, t in enumerate(texts) if i != last and roles[i] not in ("system", "developer"))
    system = "\n".join(t for t, role in zip(texts, roles, strict=True) if role in ("system", "developer"))
    counts = [
        len(messages),
        roles.count("user"),
        roles.count("system") + roles.count("developer"),
        len(system),
        len(tools),
        roles.count("tool"),
        sum(len(m.get("tool_calls") or ()) for m in messages),
        roles[-1:] == ["tool"],
        sum(len(m["content"]) for m in messages if isinstance(m.get("content"), list)),
    ]
    return _cut(texts[last] if texts else ""), _cut(rest), _cut(system), np.array(counts, np.float64)


def _cut(text: str) -> bytes:
    if len(text) > LONGEST:
        text = text[: LONGEST // 2] + "\n" + text[-LONGEST // 2 :]
    return text.encode("utf-8", "replace")


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message: its content (a string, or the text parts of a list) and the calls of tools it makes."""
    content = message.get("content")
    parts = [content] if isinstance(content, str) else []
    if isinstance(content, list):
        parts = [str(p.get("text") or "") if isinstance(p, Mapping) else str(p) for p in content]
    for call in message.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            parts.append(f"{function.get('name')} {function.get('arguments')}")
    return "\n".join(parts)


def _tool_text(tools: Sequence[Mapping[str, Any]]) -> bytes:
    if not tools:
        return b""
    functions = [tool.get("function", tool) for tool in tools if isinstance(tool, Mapping)]
    return _cut(
        "\n".join(json.dumps([f.get("name"), f.get("description")]) for f in functions if isinstance(f, Mapping))
    )


class _Words:
    """A text cut into words, numbers and single punctuation marks, each with a 64-bit hash."""

    def __init__(self, text: bytes) -> None:
        self.raw = np.frombuffer(text, np.uint8)
        self.classes = _CLASSES[self.raw]
        changes = np.empty(len(self.raw), bool)
        changes[:1] = True
        np.not_equal(self.classes[1:], self.classes[:-1], out=changes[1:])
        changes |= self.classes == _PUNCTUATION
        starts = changes.nonzero()[0]
        lengths = _lengths(starts, len(self.raw))
        keep = self.classes[starts] != _SPACE
        self.starts, self.lengths = starts[keep], lengths[keep]
        self.kinds = self.classes[self.starts]
        self.folded = _FOLDED[self.raw].astype(np.uint64)
        self.hashes = self._hash(starts, lengths)[keep]

    def _hash(self, starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> U64:
        if not len(starts):
            return np.zeros(0, np.uint64)
        index = np.arange(len(self.raw)) - np.repeat(starts, lengths)
        values = (self.folded + np.uint64(1)) * _POWERS[index & (_LONGEST_WORD - 1)]
        return np.add.reduceat(values, starts)

    def grams(self, seed: int) -> list[U64]:
        """Hashes of words, of pairs and triples of words, and of four characters in a row; `seed` tells views apart."""
        salt = np.uint64(seed * int(_MIX) % 2**64)
        words = self.hashes * _BASE + salt
        pairs = words[:-1] * _MIX + self.hashes[1:] + np.uint64(1)
        triples = pairs[:-1] * _MIX + self.hashes[2:] + np.uint64(2)
        return [words, pairs, triples, self._characters(4) + salt]

    def _characters(self, n: int) -> U64:
        size = max(len(self.folded) - n + 1, 0)
        out = np.zeros(size, np.uint64)
        for k in range(n):
            out = out * _BASE + self.folded[k : k + size]
        return out * _MIX + np.uint64(3)

    def counts(self) -> NDArray[np.float64]:
        """The structural counts, in the order of `_TEXT_NAMES`."""
        if not len(self.starts):
            return _NO_COUNTS
        by_byte = np.bincount(self.raw, minlength=256)
        sizes = (len(self.raw), len(self.starts), np.count_nonzero(self.raw > 127))
        own = [*sizes, *self._lines(), *self._numbers(), *self._letters(), *self._repeats(), self._depth()]
        return np.concatenate([own, by_byte[_COUNTED_INDEX]])

    def _lines(self) -> list[float]:
        breaks = (self.raw == 10).nonzero()[0]
        starts = np.empty(len(breaks) + 1, np.intp)
        starts[0] = 0
        np.add(breaks, 1, out=starts[1:])
        lengths = _lengths(starts, len(self.raw) + 1) - 1
        first = self.raw[np.minimum(starts, len(self.raw) - 1)]
        listed = (first == 45) | (first == 42) | (_CLASSES[first] == _DIGIT)
        return [len(starts), lengths.max(), np.count_nonzero(lengths == 0), np.count_nonzero(listed & (lengths > 0))]

    def _numbers(self) -> list[float]:
        digits = self.kinds == _DIGIT
        lengths = np.sort(self.lengths[digits])
        if not len(lengths):
            return [0.0] * 7
        second = lengths[-2] if len(lengths) > 1 else 0
        # Numbers are compared by their digits, not by the folded hash, in which all digits are alike.
        most = _runs(self._values(self.starts[digits], self.lengths[digits])).max()
        return [lengths.sum(), len(lengths), lengths[-1], second, lengths[0], np.count_nonzero(lengths > 2), most]

    def _values(self, starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> U64:
        out = np.zeros(len(starts), np.uint64)
        for k in range(min(int(lengths.max()), 12)):
            inside = lengths > k
            out[inside] = out[inside] * _BASE + self.raw[starts[inside] + k].astype(np.uint64)
        return out

    def _letters(self) -> list[float]:
        letters = self.kinds == _LETTER
        first = self.raw[self.starts]
        capital = letters & (first >= 65) & (first <= 90)
        lengths = self.lengths[letters]
        top = np.sort(_runs(self.hashes[letters]))[::-1][:3].tolist()
        return [
            lengths.sum(),
            np.count_nonzero(capital),
            np.count_nonzero(capital & (self.lengths == 1)),
            lengths.mean() if len(lengths) else 0.0,
            lengths.max(initial=0),
            *top,
            *[0] * (3 - len(top)),
        ]

    def _repeats(self) -> list[float]:
        pairs = _runs(self.hashes[:-1] * _MIX + self.hashes[1:])
        return [len(_runs(self.hashes)), pairs.max(initial=0), pairs.sum() - len(pairs)]

    def _depth(self) -> float:
        return max(int(np.cumsum(_NESTING[self.raw]).max()), 0)


def _lengths(starts: NDArray[np.intp], end: int) -> NDArray[np.intp]:
    """The lengths of runs that begin at `starts`, the last one ending at `end`."""
    ends = np.empty_like(starts)
    ends[:-1] = starts[1:]
    ends[-1:] = end
    return ends - starts


def _starts(values: NDArray[Any]) -> NDArray[np.intp]:
    """Where runs of equal values begin."""
    new = np.empty(len(values), bool)
    new[:1] = True
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return new.nonzero()[0]


def _runs(values: U64) -> NDArray[np.intp]:
    """How often each distinct value occurs."""
    return _lengths(_starts(np.sort(values)), len(values))


def bag(hashes: U64) -> tuple[NDArray[np.int64], F32]:
    """Buckets, rising, and their weights: log(1 + count), L2 norm 1."""
    index = ((hashes ^ (hashes >> np.uint64(29))) * _MIX >> _SHIFT).astype(np.int64)
    if len(index) < FEW:
        index.sort()
        starts = _starts(index)
        buckets, counts = index[starts], _lengths(starts, len(index))
    else:
        table = np.bincount(index, minlength=BUCKETS)
        buckets = np.flatnonzero(table)
        counts = table[buckets]
    weights = np.log1p(counts)
    norm = float(np.sqrt(np.square(weights).sum())) or 1.0
    return buckets, (weights / norm).astype(np.float32)
