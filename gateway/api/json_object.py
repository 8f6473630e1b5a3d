"""Parses a request body as a JSON object, and refuses bodies that two parsers could read differently.

Parsers disagree on which of two duplicate keys wins, so a check could see one value and the backend another. The fast
parser does not detect duplicates, but a body that serialises back byte for byte has none; all others are parsed again
by a strict parser. A large body is only parsed by the strict one, to avoid a second copy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import mul
from typing import Any

import jiter
import numpy as np
import orjson

from gateway.core.errors import InvalidRequest

MOST_VALUES = 500_000
# Bytes; from this size on a second copy of a body costs more than the fast parser saves.
LARGE = 65_536
# Memory of parsed values besides their text, in bytes: per further value, list, object, and key.
_MARKS = {b",": 40, b"[": 64, b"{": 200, b":": 60}
# Their limit: a multiple of the body's size, plus a fixed allowance.
_STRUCTURE, _ANY_STRUCTURE = 3, 16 * 1024 * 1024
_PIECE = 65_536
_PLACE = re.compile(r"line \d+ column \d+$")
_LEAST, _MOST = -(2**63), 2**64 - 1
_INFINITE = (float("inf"), float("-inf"))


def read(raw: bytes | bytearray, max_depth: int, max_values: int = MOST_VALUES) -> dict[str, Any]:
    """The body as an object. InvalidRequest: it is not UTF-8, JSON or an object, or it is ambiguous, nested too deeply
    or has too many values. No error quotes the body.
    """
    _check_values(raw, max_values)
    large = len(raw) >= LARGE
    body = _parsed_once(bytes(raw), max_depth) if large else _parsed(raw, max_depth)
    if not isinstance(body, dict):
        raise InvalidRequest("The request body must be a JSON object.", code="invalid_type")
    _check_depth(body, max_depth, numbers=large)
    if not large and orjson.dumps(body) != raw:
        _check_duplicates(bytes(raw), body)
    return body


def _parsed(raw: bytes | bytearray, max_depth: int) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith("depth limit"):
            raise _too_deep(max_depth) from None
        raise InvalidRequest(f"The request body is not valid JSON: {error}.", code="invalid_json") from None


def _parsed_once(raw: bytes, max_depth: int) -> Any:
    """Parse with the strict parser, which detects duplicate keys. It accepts integers of any size, and reads floats
    that are too large as infinite.
    """
    try:
        return jiter.from_json(raw, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        if "recursion limit" in str(error):
            raise _too_deep(max_depth) from None
        raise _parse_error(error) from None


def _check_values(raw: bytes | bytearray, most: int) -> None:
    """Bound the memory of the parsed body before parsing it: three bytes of JSON can become sixty (`[],[],[],`)."""
    if len(raw) <= min(most, _ANY_STRUCTURE // max(_MARKS.values())):
        return
    if not _too_much(raw, most, [raw.count(mark) for mark in _MARKS]):
        return
    # Some of these characters may be inside strings.
    if _too_much(raw, most, outside_strings(raw)):
        raise InvalidRequest(
            f"The request body has more than {most} values, or too many for its size.", code="too_many_values"
        )


def _too_much(raw: bytes | bytearray, most: int, counts: Sequence[int]) -> bool:
    """Every value but the first follows a comma or the start of a list or an object."""
    commas, lists, objects, _ = counts
    structure = sum(map(mul, _MARKS.values(), counts))
    return commas + lists + objects > most or structure > _STRUCTURE * len(raw) + _ANY_STRUCTURE


def outside_strings(raw: bytes | bytearray) -> list[int]:
    """The number of each structural character outside strings, counted piece by piece in constant memory."""
    counts = [0] * len(_MARKS)
    inside = 0
    rest = b""
    for start in range(0, len(raw), _PIECE):
        piece = rest + raw[start : start + _PIECE]
        escapes = len(piece) - len(piece.rstrip(b"\\"))
        rest = piece[len(piece) - escapes % 2 :]
        # Without escaped characters, each quote begins or ends a string.
        piece = piece[: len(piece) - len(rest)].replace(b"\\\\", b"").replace(b'\\"', b"")
        if not piece:
            continue
        letters = np.frombuffer(piece, np.uint8)
        quoted = np.bitwise_xor.accumulate((letters == 0x22).view(np.uint8)) ^ inside
        inside = int(quoted[-1])
        bare = letters[quoted == 0].tobytes()
        counts = [before + bare.count(mark) for before, mark in zip(counts, _MARKS, strict=True)]
    return counts


def _check_depth(body: dict[str, Any], most: int, numbers: bool) -> None:
    """Check the nesting and, with `numbers`, that every number fits into 64 bits."""
    level: list[Any] = [body]
    for _ in range(most):
        if numbers:
            _check_numbers(level)
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise _too_deep(most)


def _check_numbers(level: list[Any]) -> None:
    for outer in level:
        for value in outer.values() if type(outer) is dict else outer:
            kind = type(value)
            if (kind is int and not _LEAST <= value <= _MOST) or (kind is float and value in _INFINITE):
                raise _too_large_number()


def _check_duplicates(raw: bytes, body: dict[str, Any]) -> None:
    try:
        exact = jiter.from_json(raw, catch_duplicate_keys=True)
    except ValueError as error:
        raise _parse_error(error) from None
    if exact != body:
        raise _too_large_number()


def _parse_error(error: ValueError) -> InvalidRequest:
    place = _PLACE.search(str(error)[-60:])
    where = f" at {place[0]}" if place else ""
    if "duplicate" in str(error)[:30]:
        return InvalidRequest(f"The request body has a duplicate key{where}.", code="duplicate_key")
    return InvalidRequest(f"The request body is not valid JSON{where}.", code="invalid_json")


def _too_large_number() -> InvalidRequest:
    return InvalidRequest("The request body has a number that does not fit into 64 bits.", code="invalid_json")


def _too_deep(most: int) -> InvalidRequest:
    return InvalidRequest(f"The request body is nested deeper than {most} levels.", code="nested_too_deep")
