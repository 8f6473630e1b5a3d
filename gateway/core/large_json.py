"""Serialises and sends large JSON bodies without a second copy of their strings."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import aiohttp
import orjson

from gateway.core.memory import LargeBytes

# Characters. A non-ASCII str caches its UTF-8 once orjson has serialised it, so long ones are written in pieces, whose
# cache is freed with them.
LONG_TEXT = 4096
_PIECE = 65_536
_MAY_HOLD_TEXT = frozenset({str, dict, list})


def dumps(value: Any) -> bytes:
    """Like `orjson.dumps`, for parsed JSON."""
    written = pieces(value)
    first = next(written)
    second = next(written, None)
    if second is None:
        return first
    out = LargeBytes()
    for piece in chain((first, second), written):
        out.write(piece)
    return out.value()


def size(value: Any) -> int:
    """The length of what `dumps` would return, in bytes."""
    return sum(map(len, pieces(value)))


def pieces(value: Any) -> Iterator[bytes]:
    """The pieces that `dumps` joins."""
    if not _holds_long_texts(value):
        yield orjson.dumps(value)
        return
    mark = secrets.token_hex(16)
    texts: list[str] = []
    between = orjson.dumps(_without(value, mark, texts)).split(f'"{mark}"'.encode())
    yield between[0]
    for text, after in zip(texts, between[1:], strict=True):
        yield b'"'
        for start in range(0, len(text), _PIECE):
            yield orjson.dumps(text[start : start + _PIECE])[1:-1]
        yield b'"'
        yield after


def _without(value: Any, mark: str, texts: list[str]) -> Any:
    """The value with long strings replaced by the mark, and appended to `texts` in order."""
    kind = type(value)
    if kind is str:
        if len(value) < LONG_TEXT or value.isascii():
            return value
        texts.append(value)
        return mark
    if kind is dict:
        changed = _changed(value.items(), mark, texts)
        return {**value, **changed} if changed else value
    if kind is list:
        changed = _changed(enumerate(value), mark, texts)
        return [changed.get(at, inner) for at, inner in enumerate(value)] if changed else value
    return value


def _changed(entries: Iterable[tuple[Any, Any]], mark: str, texts: list[str]) -> dict[Any, Any]:
    """The entries that contain long strings, without those."""
    return {at: new for at, inner in entries if (new := _without(inner, mark, texts)) is not inner}


def _holds_long_texts(value: Any) -> bool:
    """Level by level, as that is much faster than value by value, and most bodies have none."""
    level: list[Any] = [[value]]
    while level:
        values = chain.from_iterable(outer.values() if type(outer) is dict else outer for outer in level)
        inner = [one for one in values if type(one) in _MAY_HOLD_TEXT]
        if any(type(one) is str and len(one) >= LONG_TEXT and not one.isascii() for one in inner):
            return True
        level = [one for one in inner if type(one) is not str]
    return False


class InPieces(aiohttp.Payload):
    """Sends bytes in pieces without copying them, so that other tasks can run in between."""

    _autoclose = True
    _value: bytes

    def __init__(self, value: bytes) -> None:
        super().__init__(value, content_type="application/json")
        self._size = len(value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: Any) -> None:
        rest = memoryview(self._value)
        while rest:
            await writer.write(rest[:_PIECE])
            rest = rest[_PIECE:]
            await asyncio.sleep(0)
