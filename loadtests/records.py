"""`python -m loadtests.records`: how long a report, a replay and feedback look for their records among many.

The records are as a busy gateway writes them, with an outcome for one in ten, in a SQLite file.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.core.record_query import RecordQuery
from gateway.storage.lookup import RecordLookup
from gateway.storage.reader import rated_records
from gateway.storage.rows import insert
from gateway.storage.sqlite import SqliteDatabase
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


def timed(what: Callable[[], Any]) -> float:
    start = time.perf_counter()
    what()
    return round(time.perf_counter() - start, 3)


@click.command(help=__doc__)
@click.option("--rows", type=click.IntRange(min=1000), default=1_000_000, show_default=True)
@click.option("--replayed", type=click.IntRange(min=1), default=100_000, show_default=True)
def main(rows: int, replayed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = SqliteDatabase(Path(folder) / "records.db")
        with closing(database.connect()) as connection:
            for start in range(0, rows, AT_ONCE):
                insert(connection, written(range(start, min(start + AT_ONCE, rows))))
                connection.commit()
        lookup = RecordLookup(database, Path(folder) / "spool")
        found = {
            "rows": rows,
            "report_s": timed(lambda: list(record_totals(database, RecordQuery(), ("model", "day")))),
            "report_of_a_key_s": timed(lambda: list(record_totals(database, RecordQuery(key="k1"), ("model", "day")))),
            "replay_s": timed(lambda: sum(1 for _ in rated_records(database, RecordQuery(limit=replayed)))),
            "feedback_ms": timed(lambda: [lookup.find(f"chatcmpl-{n * 7}", "k0") for n in range(100)]) * 10,
        }
        lookup.close()
    click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
