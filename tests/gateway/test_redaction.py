"""What of a record and an outcome is kept, for how long, and what an erasure finds of outcomes of every source."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.config.settings import parse
from gateway.core.errors import ConfigError
from gateway.core.outcome_row import OutcomeRow
from gateway.execution.answer_scoring import outcome_of
from gateway.storage.protocol import RecordIdentity
from gateway.storage.retention import RetentionLimits
from gateway.storage.rows import insert
from gateway.storage.subject import Subject
from tests.gateway.conftest import Start, table
from tests.gateway.scripted import ScriptedBackend
from tests.gateway.stored import archive_of, connect, records_in
from tests.gateway.test_feedback import FEEDBACK, SESSION, outcomes, told, turns
from tests.gateway.test_records import RECORD
from tests.gateway.test_retention import NOW, trim

ALL = ["user", "unit", "session", "request_id", "answer_id", "notes", "label", "comment"]


def test_nothing_of_it_reaches_the_disk(backend: ScriptedBackend, start: Start, tmp_path: Path) -> None:
    given = {**table(backend.url), "records": {"path": tmp_path / "records.db", "redact": ALL}}
    gateway = start(given)
    ids = turns(gateway, **{"x-request-id": "a client's own"})
    report = {"id": ids[0], "score": 1, "label": "a label", "comment": "a comment"}
    assert gateway.post(report, FEEDBACK).status_code == 200
    # What is not kept finds nothing.
    for named in ({"id": "a client's own"}, {"conversation": "trip"}, {"session": SESSION["x-session-id"]}):
        assert told(gateway.post({**named, "score": 1}, FEEDBACK))[2] == "request_not_found", named
    rows = gateway.records()
    assert {row["id"] for row in rows} == set(ids)
    for row in rows:
        assert {name: row[name] for name in ALL[:6]} == {**dict.fromkeys(ALL[:6]), "request_id": ""}
        assert row["model"] == "plain" and row["completion_tokens"] is not None
    assert outcomes(gateway.database, "id, score, label, comment, user, unit") == [(ids[0], 1.0, *[None] * 4)]
    for text in (b"a client's own", b"a label", b"a comment"):
        assert all(text not in file.read_bytes() for file in tmp_path.glob("records.db*") if file.is_file())


def test_what_cannot_be_left_out_is_refused(tmp_path: Path) -> None:
    def faults(redact: list[str], **more: Any) -> str:
        with pytest.raises(ConfigError) as caught:
            parse({**table("http://x"), "records": {"path": "r.db", "redact": redact}, **more}, tmp_path)
        return str(caught.value)

    for unknown in (["users"], ["key"], ["user", "score"]):
        assert f"records.redact[{len(unknown) - 1}]" in faults(unknown)
    arms = {"a": {"deployment": "hybrid"}, "b": {"none": "instruct", "think": "thinking"}}
    assert "experiments compare units" in faults(["unit"], models={"m": {"arms": arms}})


def rated(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [id for (id,) in database.execute("SELECT id FROM outcomes ORDER BY id").fetchall()]


def test_outcomes_may_go_before_their_records(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    ages = {f"r{n:04}": float(n) for n in range(1200)}
    with closing(connect(path)) as connection:
        insert(connection, [RECORD._replace(id=id, time=NOW - age) for id, age in ages.items()])
        sources = ("person", "verifier:exact", "implicit:empty")
        insert(
            connection, [OutcomeRow(id, "m", source, 1.0, NOW - age) for id, age in ages.items() for source in sources]
        )
        connection.commit()
    assert trim(path, RetentionLimits(outcome_age_s=100)) == [500] * 6 + [297, 0]
    assert rated(path) == [id for id, age in ages.items() if age <= 100 for _ in sources]
    assert trim(path, RetentionLimits(age_s=50, outcome_age_s=100))[-1] == 0
    assert {*rated(path)} == {id for id, age in ages.items() if age <= 50}


def test_an_erasure_finds_every_outcome_and_those_that_come_later(tmp_path: Path) -> None:
    """A verifier may still be at an answer whose record is erased: its score has the time of the request."""
    path = tmp_path / "records.db"
    records = records_in(path)
    rows = [RECORD._replace(id=id, key=key, time=NOW) for id, key in (("mine", "k"), ("other", "o"))]
    identities = [RecordIdentity(row.id, row.key, row.user, row.unit, row.time) for row in rows]
    for row, of in zip(rows, identities, strict=True):
        records.write(row._replace(time=1.0))
        for source in ("verifier:numeric", "implicit:empty"):
            records.rate(outcome_of(of._replace(time=1.0), "outcome", source, 1.0))
    records.start()
    records.stop()
    assert rated(path) == ["mine", "mine", "other", "other"]
    assert archive_of(path).erase(Subject("k", None)) == 1
    assert rated(path) == ["other", "other"]
    later = records_in(path)
    for of in identities:
        later.rate(outcome_of(of._replace(time=1.0), "outcome", "verifier:late", 1.0))
    later.start()
    later.stop()
    assert rated(path) == ["other"] * 3
