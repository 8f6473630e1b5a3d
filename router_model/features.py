"""What a request looks like to the router: hashed n-grams of its words and a row of structural counts. NumPy only.

Everything is computed on the UTF-8 bytes with whole-array operations, so the cost is a few dozen array passes whatever the
text, and the hashes do not depend on the process. Digits count as one symbol in n-grams ("47" and "91" are the same word), so
n-grams say *which kind of work* this is; how much of it there is, the structural counts say.
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


_CLASSES = _byte_classes()
_FOLDED = _folded_bytes()
_COUNTED = b"+-*/=<>%^;,.:?!()[]{}\"'|#_@&$`\n"
_COUNTED_NAMES = tuple(f"count {chr(byte)!r}" for byte in _COUNTED)
_TEXT_NAMES = (
    "chars",
    "words",
    "lines",
    "longest line",
    "letters",
    "digits",
    "numbers",
    "longest number",
    "second number",
    "shortest number",
    "long numbers",
    "capitalised",
    "single capitals",
    "distinct words",
    "top word",
    "second word",
    "third word",
    "top number",
    "list lines",
    "bracket depth",
    "non-ascii",
    "mean word",
    "longest word",
    "blank lines",
    "top pair",
    "repeated pairs",
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
DENSE_NAMES = tuple(f"last {n}" for n in _TEXT_NAMES) + tuple(f"rest {n}" for n in _TEXT_NAMES) + _REQUEST_NAMES


@dataclass(frozen=True, slots=True)
class Features:
    """`dense`: float32 [len(DENSE_NAMES)], log(1 + count). `buckets`, `weights`: the hashed n-grams, L2 norm 1 (empty if no text)."""

    dense: F32
    buckets: NDArray[np.int64]
    weights: F32


def featurize(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None) -> Features:
    """Features of a whole request. Never raises on odd content: what is not text is counted or left out."""
    last, rest, system, request = _views(messages, tools or ())
    last_words, rest_words = _Words(last), _Words(rest)
    dense = np.log1p(np.concatenate([last_words.counts(), rest_words.counts(), request])).astype(np.float32)
    hashes = [
        *last_words.grams(seed=1),
        *rest_words.grams(seed=2),
        *_Words(system).grams(seed=3)[:1],
        *_Words(_tool_text(tools or ())).grams(seed=4)[:1],
    ]
    buckets, weights = _bag(np.concatenate(hashes))
    return Features(dense, buckets, weights)


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
        filled = self.classes != _SPACE
        changes = np.empty(len(self.raw), bool)
        changes[:1] = True
        np.not_equal(self.classes[1:], self.classes[:-1], out=changes[1:])
        changes |= self.classes == _PUNCTUATION
        starts = np.flatnonzero(changes)
        ends = np.append(starts[1:], len(self.raw))
        keep = filled[starts]
        self.starts, self.lengths = starts[keep], (ends - starts)[keep]
        self.kinds = self.classes[self.starts]
        self.folded = _FOLDED[self.raw]
        self.hashes = self._hash(starts, keep)

    def _hash(self, starts: NDArray[np.int64], keep: NDArray[np.bool_]) -> U64:
        if not len(starts):
            return np.zeros(0, np.uint64)
        index = np.arange(len(self.raw)) - np.repeat(starts, np.diff(np.append(starts, len(self.raw))))
        values = (self.folded.astype(np.uint64) + np.uint64(1)) * _POWERS[index % _LONGEST_WORD]
        return np.add.reduceat(values, starts)[keep]

    def grams(self, seed: int) -> list[U64]:
        """Hashes of words, pairs and triples of words, and of four characters in a row; `seed` keeps the views apart."""
        salt = np.uint64(seed * int(_MIX) % 2**64)
        words = self.hashes * _BASE + salt
        pairs = words[:-1] * _MIX + self.hashes[1:] + np.uint64(1)
        triples = pairs[:-1] * _MIX + self.hashes[2:] + np.uint64(2)
        return [words, pairs, triples, self._characters(4) + salt]

    def _characters(self, n: int) -> U64:
        folded = self.folded.astype(np.uint64)
        size = max(len(folded) - n + 1, 0)
        out = np.zeros(size, np.uint64)
        for k in range(n):
            out = out * _BASE + folded[k : k + size]
        return out * _MIX + np.uint64(3)

    def counts(self) -> NDArray[np.float64]:
        """The structural counts, in the order of `_TEXT_NAMES`."""
        raw = self.raw
        if not len(self.starts):
            return np.zeros(len(_TEXT_NAMES))
        by_byte = np.bincount(raw, minlength=256)
        by_class = np.bincount(self.classes, minlength=4)
        numbers = np.sort(self.lengths[self.kinds == _DIGIT])[::-1]
        letters = self.kinds == _LETTER
        capital = letters & (raw[self.starts] >= 65) & (raw[self.starts] <= 90)
        lengths = self.lengths[letters]
        repeats = _top(self.hashes[letters], 3)
        # Numbers are compared by their real digits, not by the folded hash.
        values = _top(self._number_values(), 1)
        pairs = self.hashes[:-1] * _MIX + self.hashes[1:]
        unique_pairs = len(np.unique(pairs))
        breaks = np.flatnonzero(raw == 10)
        line_starts = np.append(0, breaks + 1)
        line_lengths = np.diff(np.append(line_starts, len(raw) + 1)) - 1
        first = raw[np.minimum(line_starts, len(raw) - 1)]
        listed = (first == 45) | (first == 42) | ((first >= 48) & (first <= 57))
        opened = np.cumsum(np.isin(raw, _OPENING).astype(np.int64) - np.isin(raw, _CLOSING))
        return np.concatenate([
            [
                len(raw), len(self.starts), len(line_starts), line_lengths.max(), by_class[_LETTER], by_class[_DIGIT], len(numbers),
                numbers[0] if len(numbers) else 0, numbers[1] if len(numbers) > 1 else 0, numbers[-1] if len(numbers) else 0,
                np.count_nonzero(numbers > 2), np.count_nonzero(capital), np.count_nonzero(capital & (self.lengths == 1)),
                len(np.unique(self.hashes)), *repeats, *values, np.count_nonzero(listed), max(int(opened.max()), 0),
                np.count_nonzero(raw > 127), lengths.mean() if len(lengths) else 0, lengths.max() if len(lengths) else 0,
                np.count_nonzero(line_lengths == 0), _top(pairs, 1)[0], len(pairs) - unique_pairs,
            ],
            by_byte[_COUNTED_INDEX],
        ])  # fmt: skip

    def _number_values(self) -> U64:
        digits = self.kinds == _DIGIT
        starts, lengths = self.starts[digits], self.lengths[digits]
        out = np.zeros(len(starts), np.uint64)
        for k in range(min(int(lengths.max(initial=0)), 12)):
            inside = lengths > k
            out[inside] = out[inside] * _BASE + self.raw[starts[inside] + k].astype(np.uint64)
        return out


_OPENING = np.frombuffer(b"([{", np.uint8)
_CLOSING = np.frombuffer(b")]}", np.uint8)
_COUNTED_INDEX = np.frombuffer(_COUNTED, np.uint8)


def _top(values: U64, n: int) -> list[int]:
    """The counts of the `n` most frequent values, 0 where there are fewer."""
    counts = np.sort(np.unique(values, return_counts=True)[1])[::-1][:n].tolist()
    return [*counts, *[0] * (n - len(counts))]


def _bag(hashes: U64) -> tuple[NDArray[np.int64], F32]:
    index = ((hashes ^ (hashes >> np.uint64(29))) * _MIX >> _SHIFT).astype(np.int64)
    counts = np.bincount(index, minlength=BUCKETS)
    buckets = np.flatnonzero(counts)
    weights = np.log1p(counts[buckets])
    norm = float(np.sqrt(np.square(weights).sum())) or 1.0
    return buckets, (weights / norm).astype(np.float32)
