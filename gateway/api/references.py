"""Reads what a request says of a right answer, for verifiers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.api import checks


class References(NamedTuple):
    """`expected` is the right answer, as JSON, and `tests` are tests of code, in Python."""

    expected: Any = None
    tests: str | None = None


NOTHING = References()
REFERENCE_FIELDS = ("expected", "tests")


def read_references(body: Mapping[str, Any]) -> References:
    """`thinkgate.expected` and `thinkgate.tests`, which never leave the gateway, else those of `metadata`.

    InvalidRequest: tests are no text. Metadata is the client's own, so that nothing in it is refused.
    """
    own, client = body.get("thinkgate"), body.get("metadata")
    if not isinstance(own, dict) and not isinstance(client, dict):
        return NOTHING
    own, client = (table if isinstance(table, dict) else {} for table in (own, client))
    tests = own.get("tests")
    if tests is None:
        tests = client["tests"] if isinstance(client.get("tests"), str) else None
    elif not isinstance(tests, str):
        raise checks.wrong_type("thinkgate.tests", "a string", tests)
    expected = own.get("expected")
    return References(client.get("expected") if expected is None else expected, tests)
