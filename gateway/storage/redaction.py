"""Leaves out of rows what the operator does not want to keep, before they reach the disk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record

# What a field is left as; the id that a client sees is a text in every row.
_LEFT = {"request_id": ""}


class Redaction:
    def __init__(self, names: Iterable[str] = ()) -> None:
        """`names` are fields of records, of outcomes, or of both."""
        names = frozenset(names)
        self._record = _without(names, Record._fields)
        self._outcome = _without(names, OutcomeRow._fields)

    def record(self, row: Record) -> Record:
        return row._replace(**self._record) if self._record else row

    def outcome(self, row: OutcomeRow) -> OutcomeRow:
        return row._replace(**self._outcome) if self._outcome else row


def _without(names: frozenset[str], fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: _LEFT.get(name) for name in fields if name in names}
