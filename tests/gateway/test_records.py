"""Exactly one record per request, whatever happens to the process, the disk or the other workers."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.core.record import Record
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, ScriptedBackend, delta, obedient
from tests.gateway.stored import records_in
from tests.patience import until

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "a secret of mine"}]}
RECORD = Record(id="1", request_id="r", time=1.0, dialect="chat", status=200)


def ids(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM records ORDER BY id")]


def write(path: Path, *names: str) -> None:
    """Write records in a process that lives on until they are imported."""
    records = records_in(path)
    records.start()
    for name in names:
        records.write(RECORD._replace(id=name))
    records.stop()


def segments(path: Path) -> list[Path]:
    return sorted(Path(f"{path}.spool").iterdir())


def test_records_reach_the_table_and_the_spool_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.db"
    write(path, "a", "b")
    write(path, "c")
    assert ids(path) == ["a", "b", "c"]
    assert segments(path) == []


def test_a_record_is_safe_before_write_returns(tmp_path: Path) -> None:
    records = records_in(tmp_path / "records.db")
    records.write(RECORD)
    (segment,) = segments(tmp_path / "records.db")
    assert orjson.loads(segment.read_bytes()) == {name: getattr(RECORD, name) for name in Record._fields}
    records.start()
    records.stop()
    assert ids(tmp_path / "records.db") == ["1"]


def test_what_a_dead_process_left_is_imported_once(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    write(path, "a")
    lines = [orjson.dumps(RECORD._replace(id=name)._asdict()) for name in ("a", "b", "c")]
    orphan = Path(f"{path}.spool") / "orphan.jsonl"
    # "a" was imported already, "b" came twice, and the last line was cut short by a full disk.
    orphan.write_bytes(b"\n".join([*lines[:2], lines[1], b'"no record"', lines[2][:40]]))
    write(path, "d")
    assert ids(path) == ["a", "b", "d"]
    assert segments(path) == []


def test_the_spool_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    living = records_in(path)
    living.write(RECORD._replace(id="living"))
    write(path, "other")
    assert ids(path) == ["other"]
    living.start()
    living.stop()
    assert ids(path) == ["living", "other"]


def test_a_table_of_an_older_release_gets_the_new_columns(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    with closing(sqlite3.connect(path)) as old:
        old.execute("CREATE TABLE records (id TEXT PRIMARY KEY, request_id TEXT, time REAL, a_column_of_old TEXT)")
        old.execute("INSERT INTO records VALUES ('old', 'r', 1.0, 'kept')")
        old.commit()
    write(path, "new")
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT id, a_column_of_old, status FROM records ORDER BY id").fetchall() == [
            ("new", None, 200),
            ("old", "kept", None),
        ]


def test_a_database_that_cannot_be_written_costs_no_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "records.db"
    path.mkdir()
    write(path, "a")
    assert "records stay in" in caplog.text
    path.rmdir()
    write(path, "b")
    assert ids(path) == ["a", "b"]


def test_records_that_had_to_wait_follow_those_that_did_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "records.db"
    path.mkdir()
    records = records_in(path)
    records.start()
    records.write(RECORD._replace(id="a"))
    until(lambda: "records stay in" in caplog.text)
    path.rmdir()
    records.write(RECORD._replace(id="b"))
    records.stop()
    assert ids(path) == ["a", "b"]
    assert segments(path) == []


def leads_to(link: Path, file: Path) -> bool:
    """Whether this is an open file of the process, and that one. Others are closed at any moment."""
    try:
        return link.samefile(file)
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="finds the spool's open file in /proc")
def test_a_disk_that_refuses_loses_the_record_but_not_the_request(scripted_gateway: RunningGateway) -> None:
    (segment,) = segments(scripted_gateway.database)
    (open_file,) = [path for path in Path("/proc/self/fd").iterdir() if leads_to(path, segment)]
    # A file opened for reading refuses every write, as a full disk does.
    with Path(os.devnull).open("rb") as refusing:
        os.dup2(refusing.fileno(), int(open_file.name))
    assert scripted_gateway.post(ASK).status_code == 200
    assert "thinkgate_records_lost 1.0" in scripted_gateway.get("/metrics").text


def test_the_same_request_id_twice_is_two_records(scripted_gateway: RunningGateway) -> None:
    for _ in range(2):
        scripted_gateway.post(ASK, headers={"x-request-id": "retried"})
    assert [row["request_id"] for row in scripted_gateway.records()] == ["retried", "retried"]


def test_no_record_holds_what_was_said(scripted_gateway: RunningGateway) -> None:
    scripted_gateway.post(ASK)
    scripted_gateway.post({**ASK, "user": "somebody@example.com"})
    text = str(scripted_gateway.records())
    assert "secret" not in text and "four" not in text and "somebody" not in text


def test_a_record_says_what_happened(scripted_gateway: RunningGateway) -> None:
    scripted_gateway.post({**ASK, "stream": True}, headers={"x-request-id": "mine"})
    (row,) = scripted_gateway.records()
    expected = {
        "request_id": "mine",
        "dialect": "chat",
        "status": 200,
        "model": "merged",
        "arm": "merged",
        "deployment": "hybrid",
        "requested": "auto",
        "reason": "router",
        "router": "constant",
        "propensity": 1.0,
        "prompt_tokens": 7,
        "completion_tokens": 9,
        "reasoning_tokens": 5,
        "used": 5,
        "streamed": 1,
        "finish_reason": "stop",
        "client_gone": 0,
        "error_type": None,
    }
    assert {name: row[name] for name in expected} == expected
    assert row["price_token"] > 0 and row["decided"] == row["applied"]
    assert [effort[0] for effort in orjson.loads(row["forecast"])] == ["none", "16", "32", "64", "256", "unlimited"]
    assert 0 < row["decision_ms"] / 1000 < row["ttft"] < row["latency"]
    assert row["ttft"] * 1000 <= row["first_answer_ms"] <= row["latency"] * 1000


async def thought_to_the_end(connection: Connection) -> None:
    """A stream whose limit ends it while it thinks."""
    await connection.begin_stream()
    await connection.event(delta(reasoning="two and two"))
    await connection.event(delta("length"))
    await connection.event("[DONE]")
    await connection.end_stream()


async def thought_in_parts(connection: Connection) -> None:
    """Reasoning among the parts of the content, and a call of a tool for an answer."""
    await connection.begin_stream()
    await connection.event(delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "two"}]}]))
    called = {"index": 0, "id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    await connection.event(delta(tool_calls=[called]))
    await connection.event(delta("tool_calls"))
    await connection.event("[DONE]")
    await connection.end_stream()


def test_the_time_to_the_first_answer_token_is_that_after_the_reasoning(
    backend: ScriptedBackend, scripted_gateway: RunningGateway
) -> None:
    streamed = {**ASK, "stream": True}
    for script, body in ((obedient, ASK), (thought_to_the_end, streamed), (thought_in_parts, streamed)):
        backend.script = script
        assert scripted_gateway.post(body).status_code == 200
    whole, unanswered, called = scripted_gateway.records()
    assert whole["ttft"] is None and 0 < whole["first_answer_ms"] <= whole["latency"] * 1000
    assert unanswered["ttft"] > 0 and unanswered["first_answer_ms"] is None
    assert 0 < called["ttft"] * 1000 < called["first_answer_ms"] <= called["latency"] * 1000
