"""Writes records with their outcomes as a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.core.record_query import RatedRecord

ROWS = 20_000
_TYPES = {
    **dict.fromkeys((int, int | None), pa.int64()),
    **dict.fromkeys((bool, bool | None), pa.bool_()),
    **dict.fromkeys((float, float | None), pa.float64()),
    **dict.fromkeys((str, str | None), pa.string()),
}
_OF_OUTCOME = ("metric", "source", "score", "weight", "time", "label", "comment")


def _fields(row: type, names: Iterable[str]) -> list[pa.Field]:
    kinds = get_type_hints(row)
    return [pa.field(name, _TYPES[kinds[name]]) for name in names]


def write(found: Iterable[RatedRecord], out: Path) -> int:
    """One row per record, its outcomes as a list; how many. OSError: the file cannot be written."""
    outcomes = pa.list_(pa.struct(_fields(OutcomeRow, _OF_OUTCOME)))
    schema = pa.schema([*_fields(Record, Record._fields), pa.field("outcomes", outcomes)])
    rest, count = iter(found), 0
    with pq.ParquetWriter(out, schema, compression="zstd") as file:
        while some := list(islice(rest, ROWS)):
            rows = [
                {**each.record._asdict(), "outcomes": [{n: getattr(o, n) for n in _OF_OUTCOME} for o in each.outcomes]}
                for each in some
            ]
            file.write_table(pa.Table.from_pylist(rows, schema))
            count += len(some)
    return count
