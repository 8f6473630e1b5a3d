"""Reads what a request says of a right answer, for verifiers, and whether anything may be learned from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.api import checks


class References(NamedTuple):
    """`expected` is the right answer, as JSON, and `tests` are tests of code, in Python. `learns`: the request may be
    answered again to learn from it.
    """

    expected: Any = None
    tests: str | None = None
    learns: bool = True


NOTHING = References()
REFERENCE_FIELDS = ("expected", "tests", "learn")


def read_references(body: Mapping[str, Any]) -> References:
    """`thinkgate.expected` and `thinkgate.tests`, which never leave the gateway, else those of `metadata`; and
    `thinkgate.learn`.

    InvalidRequest: one is of the wrong type. Metadata is the client's own, so that nothing in it is refused.
    """
    own, client = body.get("thinkgate"), body.get("metadata")
    if not isinstance(own, dict) and not isinstance(client, dict):
        return NOTHING
    own, client = (table if isinstance(table, dict) else {} for table in (own, client))
    tests, learns = own.get("tests"), own.get("learn")
    if tests is None:
        tests = client["tests"] if isinstance(client.get("tests"), str) else None
    elif not isinstance(tests, str):
        raise checks.wrong_type("thinkgate.tests", "a string", tests)
    if learns is not None and not isinstance(learns, bool):
        raise checks.wrong_type("thinkgate.learn", "true or false", learns)
    expected = own.get("expected")
    return References(client.get("expected") if expected is None else expected, tests, learns is not False)
