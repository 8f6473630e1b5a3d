"""Records are read page by page, by indexes, with their outcomes; and exported as Parquet."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import pyarrow.parquet as pq
import pytest

from gateway.core.outcome_row import OutcomeRow
from gateway.core.record_query import RecordQuery
from gateway.storage import reader
from gateway.storage.lookup import identities, latest_of
from gateway.storage.protocol import RecordGroup
from gateway.storage.rows import insert
from gateway.storage.stored_record import named
from gateway.storage.totals import totals_of
from tests.gateway.command_line import invoke
from tests.gateway.stored import archive_of, connect
from tests.gateway.test_check import CONFIG
from tests.gateway.test_records import RECORD

ROWS = [
    RECORD._replace(id=f"{n:05}", time=float(n // 2), key=f"k{n % 3}", model=f"m{n % 2}", arm="a", request_id=f"r{n}")
    for n in range(1203)
]
OUTCOMES = [OutcomeRow(row.id, "outcome", "person", n % 3 / 2, row.time, row.key) for n, row in enumerate(ROWS[::10])]


def fill(path: Path) -> None:
    with closing(connect(path)) as connection:
        insert(connection, [*ROWS, *OUTCOMES, OutcomeRow("00001", "outcome", "person", 1.0, 1.0, "another key")])
        connection.commit()


def plan(path: Path, statement: Any) -> str:
    """How SQLite would answer a query: which indexes it uses."""
    with closing(connect(path)) as connection:
        compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    with closing(sqlite3.connect(path)) as database:
        return "\n".join(str(row[3]) for row in database.execute(f"EXPLAIN QUERY PLAN {compiled}"))


def test_pages_are_whole_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "thinkgate.db"
    fill(path)
    archive = archive_of(path)
    found = list(archive.rated(RecordQuery()))
    assert [each.record for each in found] == ROWS
    assert [outcome for each in found for outcome in each.outcomes] == OUTCOMES
    some = [each.record for each in archive.rated(RecordQuery(since=10.0, until=500.0, key="k1", model="m1", limit=7))]
    assert some == [row for row in ROWS if 10 <= row.time < 500 and (row.key, row.model) == ("k1", "m1")][:7]
    assert list(archive_of(tmp_path / "none.db").rated(RecordQuery())) == []


def test_queries_use_indexes(tmp_path: Path) -> None:
    path = tmp_path / "thinkgate.db"
    fill(path)
    for group in (RecordGroup("unit", "u"), RecordGroup("session", "s")):
        shown = plan(path, latest_of(group, "k1"))
        # By time the rows come from the index; only those of one time are sorted.
        assert f"USING INDEX records_{group.column} " in shown and "TEMP B-TREE FOR ORDER BY" not in shown, shown
    for query, index in (
        (RecordQuery(), "records_time"),
        (RecordQuery(since=5.0, until=9.0), "records_time"),
        (RecordQuery(key="k1"), "records_key_time"),
        (RecordQuery(model="m1", since=5.0), "records_model_time"),
        (RecordQuery(arm="a"), "records_arm_time"),
        (RecordQuery(experiment="e"), "records_experiment_time"),
    ):
        for after in (None, (5.0, "00010")):
            told = plan(path, reader.page_of(query, after, 500))
            assert f"USING INDEX {index} " in told and "SCAN records\n" not in f"{told}\n", told
    for statement in (identities("0" * 28, "k1"), named("0" * 28)):
        told = plan(path, statement)
        assert "MULTI-INDEX OR" in told and "records_request_id" in told and "records_answer_id" in told, told


def test_totals_are_those_of_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "thinkgate.db"
    fill(path)
    for query in (RecordQuery(), RecordQuery(key="k1", since=10.0)):
        rows = list(archive_of(path).rated(query))
        found = archive_of(path).totals(query, ("model", "day"))
        assert [each.group for each in found] == [("m0", 0), ("m1", 0)]
        for each in found:
            those = [row for row in rows if row.record.model == each.group[0]]
            scores = [outcome.score for row in those for outcome in row.outcomes]
            assert (each.requests, each.errors, each.dollars) == (len(those), 0, 0.0)
            assert (each.outcome.n, each.outcome.mean, each.outcome.variance) == (
                len(scores),
                pytest.approx(fmean(scores)) if scores else None,
                pytest.approx(variance(scores)) if scores else None,
            )
    assert "records_key_time" in plan(path, totals_of(RecordQuery(key="k1"), ("model",)))


def test_records_are_exported_as_parquet(tmp_path: Path) -> None:
    config, out = tmp_path / "thinkgate.toml", tmp_path / "records.parquet"
    config.write_text(CONFIG, "utf-8")
    fill(tmp_path / "thinkgate.db")
    done = invoke("records", "export", "--config", config, "--out", out, "--model", "m1", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == f"601 records written to {out}\n", done.stderr
    table = pq.read_table(out)
    assert table.num_rows == 601 and set(RECORD._fields) < {*table.column_names}
    rated = [row for row in table.to_pylist() if row["outcomes"]]
    assert [row["id"] for row in rated] == [each.id for each in OUTCOMES if int(each.id) % 2]
    again = invoke("records", "export", "--config", config, "--out", out, cwd=tmp_path)
    assert again.returncode == 1 and "--force" in again.stderr
