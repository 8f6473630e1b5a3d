"""Which records a report, a replay or an export is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Records of a span of time, in seconds since 1970: from `since` to before `until`, at most `limit`, the oldest
    first; those of a key, a model, an arm or an experiment where one is named. `paired`: also what other arms answered
    in the background, which no client asked for.
    """

    since: float = 0.0
    until: float = float("inf")
    key: str | None = None
    model: str | None = None
    arm: str | None = None
    experiment: str | None = None
    limit: int | None = None
    paired: bool = False


class RatedRecord(NamedTuple):
    """A record with its outcomes of all metrics and sources."""

    record: Record
    outcomes: tuple[OutcomeRow, ...]
