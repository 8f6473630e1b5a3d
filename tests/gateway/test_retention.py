"""Records take no more of the disk than they may, and a disk that is full stops nothing but the records."""

from __future__ import annotations

import resource
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.core.record import Record
from gateway.storage.retention import Retention, RetentionLimits
from gateway.storage.rows import insert
from gateway.storage.sqlite import SqliteDatabase
from tests import plain_http
from tests.gateway.processes import Process
from tests.gateway.stored import connect, records_in, stored
from tests.patience import until

NOW = 1_800_000_000.0
ANSWERED = Record(id="", request_id="r", time=NOW, dialect="chat", status=200, deployment="dep", notes="x" * 200)
REFUSED = Record(id="", request_id="r", time=NOW, dialect="chat", status=400, error_type="invalid_request_error")


def fill(path: Path, *records: Record) -> None:
    with closing(connect(path)) as connection:
        insert(connection, records)
        connection.commit()


def size(path: Path) -> int:
    database = SqliteDatabase(path)
    with closing(database.connect()) as connection:
        return database.size(connection)


def trim(path: Path, keep: RetentionLimits) -> list[int]:
    """How many rows each step has deleted, until there was none to delete."""
    database = SqliteDatabase(path)
    retention = Retention(keep, database)
    gone = []
    with closing(database.connect()) as connection:
        while not gone or gone[-1]:
            gone.append(retention.step(connection, 1000.0, NOW))
    return gone


def ids(path: Path) -> list[str]:
    return [id for (id,) in stored(path, "id")]


def several(count: int, record: Record, prefix: str, step_s: float = 0.001) -> list[Record]:
    return [record._replace(id=f"{prefix}{n:05}", time=NOW + n * step_s) for n in range(count)]


def test_what_is_too_old_goes_in_small_steps(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    fill(path, *several(1200, ANSWERED._replace(), "old", 0.0), ANSWERED._replace(id="new", time=NOW + 50))
    assert trim(path, RetentionLimits(age_s=100)) == [0]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE records SET time = time - 101 WHERE id <> 'new'")
    assert trim(path, RetentionLimits(age_s=100)) == [500, 500, 200, 0]
    assert ids(path) == ["new"]


def test_refusals_go_first_and_then_the_oldest(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    fill(path, *several(10, ANSWERED, "a"), *several(700, REFUSED, "r"), *several(10, ANSWERED, "b", 1))
    trim(path, RetentionLimits(rows=100))
    assert [id[0] for id in ids(path)] == ["a"] * 10 + ["r"] * 80 + ["b"] * 10 and "r00699" in ids(path)
    trim(path, RetentionLimits(rows=5))
    assert len(ids(path)) == 5 and "b00009" in ids(path) and "a00000" not in ids(path)


def test_bytes_are_bounded_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    fill(path, *several(6000, ANSWERED, "a"))
    before = path.stat().st_size
    trim(path, RetentionLimits(bytes=500_000))
    assert 300_000 < size(path) <= 500_000
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert before > 1_500_000 and path.stat().st_size < 600_000
    assert ids(path)[-1] == "a05999"


def test_a_flood_of_refusals_pushes_nothing_else_out(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    fill(path, *several(50, ANSWERED, "a"))
    records = records_in(path, keep=RetentionLimits(bytes=400_000))
    records.start()
    for record in several(3000, REFUSED, "r"):
        records.write(record)
    until(lambda: "r02999" in ids(path))
    until(lambda: size(path) <= 450_000)
    records.stop()
    assert [id for id in ids(path) if id.startswith("a")] == [f"a{n:05}" for n in range(50)]
    assert records.lost == 0


def test_the_spool_is_bounded_while_the_table_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "r.db"
    path.mkdir()
    records = records_in(path, spool_bytes=100_000)
    records.start()
    records.write(REFUSED._replace(id="first"))
    written = 1
    until(lambda: "records stay in" in caplog.text)

    def full() -> bool:
        nonlocal written
        records.write(REFUSED._replace(id=f"{written:06}"))
        written += 1
        return records.lost > 10

    for _ in range(20):
        full()
    until(full)
    assert caplog.text.count("lost") == 1 and "more than 100000 bytes wait" in caplog.text
    path.rmdir()
    lost = records.lost
    records.stop()
    assert len(ids(path)) == written - lost
    assert list(Path(f"{path}.spool").iterdir()) == []


def test_all_that_is_written_is_for_its_owner_alone(config: Path) -> None:
    with Process("--config", config, "--port", "0", cwd=config.parent) as gateway:
        url = gateway.url()
        body: dict[str, Any] = {"model": "pub", "input": "hi"}
        assert plain_http.post(f"{url}/v1/responses", json=body).status_code == 200
        until((config.parent / "thinkgate.db").exists)
        found = list(config.parent.rglob("thinkgate.db*"))
        for path in found:
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), path
        assert gateway.stop() == 0
    names = {path.name for path in found}
    assert {"thinkgate.db", "thinkgate.db.spool", "thinkgate.db.key", "thinkgate.db.responses"} <= names


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of another process")
def test_a_full_disk_stops_nothing_but_the_records(config: Path) -> None:
    """No file may grow beyond what the first words of the log need, as on a full disk; then it has room again."""

    def lost() -> float:
        lines = client.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith("thinkgate_records_lost ")).split()[1])

    ask: dict[str, Any] = {"model": "pub", "messages": [{"role": "user", "content": "hi"}]}
    with (
        Process("--config", config, "--port", "0", cwd=config.parent) as gateway,
        plain_http.client(base_url=gateway.url()) as client,
    ):
        before = resource.prlimit(gateway.popen.pid, resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
        for _ in range(20):
            assert client.post("/v1/chat/completions", json=ask).status_code == 200
        sent = 21
        answer = client.post("/v1/responses", json={"model": "pub", "input": "hi"})
        assert (answer.status_code, answer.json()["store"]) == (200, False)
        while not lost():
            assert client.post("/v1/chat/completions", json=ask).status_code == 200
            sent += 1
        resource.prlimit(gateway.popen.pid, resource.RLIMIT_FSIZE, before)
        for _ in range(3):
            assert client.post("/v1/chat/completions", json=ask).status_code == 200
        missing = lost()
        assert gateway.stop() == 0
        said = gateway.errors()
    assert len(ids(config.parent / "thinkgate.db")) == sent + 3 - missing
    assert " lost: " in said and said.count(" lost: ") < 5
