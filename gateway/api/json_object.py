"""A request body as JSON: what two readers could understand differently is refused, not guessed.

Of duplicate keys each parser takes another one, so a check that reads the first and a backend that reads the last could
be told different things. The fast parser does not see them; but a body that comes out again byte for byte has none, and
only others go through the parser that does.
"""

from __future__ import annotations

import re
from typing import Any

import jiter
import orjson

from gateway.errors import InvalidRequest

MOST_VALUES = 500_000
# Possessive, and content without its closing quote: one pass over any bytes, in constant memory.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_PLACE = re.compile(r"line \d+ column \d+$")


def read(raw: bytes, max_depth: int, max_values: int = MOST_VALUES) -> dict[str, Any]:
    """The body as an object. InvalidRequest: it is no UTF-8, no JSON, no object, ambiguous, too deep or too much of it.

    No error repeats what was sent.
    """
    _check_values(raw, max_values)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith("depth limit"):
            raise _too_deep(max_depth) from None
        raise InvalidRequest(f"The request body is not valid JSON: {error}.", code="invalid_json") from error
    if not isinstance(body, dict):
        raise InvalidRequest("The request body must be a JSON object.", code="invalid_type")
    _check_depth(body, max_depth)
    if orjson.dumps(body) != raw:
        _check_duplicates(raw, body)
    return body


def _check_values(raw: bytes, most: int) -> None:
    """Three bytes of JSON may become sixty of memory: `[],[],[],`. Counted before anything is made of them."""
    if len(raw) > most and _marks(raw) > most and _marks(_STRING.sub(b"", raw)) > most:
        raise InvalidRequest(f"The request body holds more than {most} values.", code="too_many_values")


def _marks(raw: bytes) -> int:
    """Each value but the first has one of these before it."""
    return sum(map(raw.count, (b",", b"[", b"{")))


def _check_depth(body: dict[str, Any], most: int) -> None:
    level: list[Any] = [body]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise _too_deep(most)


def _check_duplicates(raw: bytes, body: dict[str, Any]) -> None:
    try:
        exact = jiter.from_json(raw, catch_duplicate_keys=True)
    except ValueError as error:
        place = _PLACE.search(str(error))
        where = f" at {place[0]}" if place else ""
        if "duplicate" in str(error):
            raise InvalidRequest(f"The request body has a duplicate key{where}.", code="duplicate_key") from None
        raise InvalidRequest(f"The request body is not valid JSON{where}.", code="invalid_json") from None
    if exact != body:
        raise InvalidRequest("The request body has a number that 64 bits cannot hold.", code="invalid_json")


def _too_deep(most: int) -> InvalidRequest:
    return InvalidRequest(f"The request body is nested deeper than {most} levels.", code="nested_too_deep")
