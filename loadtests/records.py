"""`python -m loadtests.records`: how long a report, a replay and feedback look for their records among many.

The records are as a busy gateway writes them, an outcome for one in ten, in a SQLite file or a PostgreSQL database.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import click

from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.core.record_query import RecordQuery
from gateway.core.record_totals import Grouping
from gateway.storage.database import Database
from gateway.storage.lookup import RecordLookup
from gateway.storage.postgres import PostgresDatabase
from gateway.storage.reader import rated_records
from gateway.storage.rows import insert
from gateway.storage.sqlite import SqliteDatabase
from gateway.storage.stored_record import stored_record
from gateway.storage.totals import record_totals

AT_ONCE = 20_000
FORECAST = json.dumps([["none", 0.61, 0, 40, 0.4], *([str(2**n), 0.7, 2.0**n, 40, 1.5] for n in range(4, 9))])
USUAL = Record(
    id="",
    request_id="",
    time=0.0,
    dialect="chat",
    status=200,
    arm="merged",
    deployment="d",
    forecast=FORECAST,
    prices='{"dial": {"token": 0.0001}}',
    cost=0.001,
    latency=1.0,
    prompt_tokens=100,
    completion_tokens=200,
    reasoning_tokens=90,
)


def written(numbers: range) -> Iterator[Record | OutcomeRow]:
    """A record for each number, one every second, and an outcome for every tenth."""
    for n in numbers:
        id, key = f"{n:028x}", f"k{n % 7}"
        names = {"request_id": f"req-{id}", "answer_id": f"chatcmpl-{n}", "unit": f"{n * 2654435761 % 2**32:x}"}
        yield USUAL._replace(id=id, time=float(n), model=f"m{n % 3}", key=key, **names)
        if not n % 10:
            yield OutcomeRow(id, "outcome", "person", float(n % 20 == 0), float(n), key)


def timed(what: Callable[[], Any]) -> dict[str, float]:
    """Seconds on the clock, and of this process' CPU: a busy machine stretches the first. SQLite works in this process,
    a server does not."""
    start, cpu = time.perf_counter(), time.process_time()
    what()
    return {"s": round(time.perf_counter() - start, 3), "cpu_s": round(time.process_time() - cpu, 3)}


def fill(database: Database, rows: int) -> None:
    with closing(database.connect()) as connection:
        for start in range(0, rows, AT_ONCE):
            insert(connection, written(range(start, min(start + AT_ONCE, rows))))
            connection.commit()


@click.command(help=__doc__)
@click.option("--rows", type=click.IntRange(min=1000), default=1_000_000, show_default=True)
@click.option("--replayed", type=click.IntRange(min=1), default=100_000, show_default=True)
@click.option("--url", help="An empty PostgreSQL database in place of a SQLite file.")
def main(rows: int, replayed: int, url: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = PostgresDatabase(url) if url else SqliteDatabase(Path(folder) / "records.db")
        fill(database, rows)
        lookup = RecordLookup(database, Path(folder) / "spool")
        found: dict[str, Any] = {"rows": rows}
        for by in (("model", "day"), ("key",), ("arm",), ("day",)):
            found[f"report by {','.join(by)}"] = timed(partial(_report, database, RecordQuery(), by))
        found |= {
            "report of a key": timed(partial(_report, database, RecordQuery(key="k1"), ("model", "day"))),
            "rows of a replay": timed(lambda: sum(1 for _ in rated_records(database, RecordQuery(limit=replayed)))),
            "100 records for feedback": timed(lambda: [lookup.find(f"chatcmpl-{n * 7}", "k0") for n in range(100)]),
            "100 records to explain": timed(lambda: [stored_record(database, f"req-{n * 7:028x}") for n in range(100)]),
        }
        lookup.close()
    click.echo(json.dumps(found, indent=2))


def _report(database: Database, query: RecordQuery, by: Sequence[Grouping]) -> None:
    list(record_totals(database, query, by))


if __name__ == "__main__":
    main()
