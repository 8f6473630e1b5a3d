"""Records and outcomes in PostgreSQL: a real server, which goes away under load and comes back."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from gateway.assembly.storage import archive
from gateway.config.settings import parse
from gateway.core.errors import ConfigError
from gateway.core.outcome_row import OutcomeRow
from gateway.core.record_query import RecordQuery
from gateway.storage import schema
from gateway.storage.archive import DatabaseArchive
from gateway.storage.postgres import PostgresDatabase
from gateway.storage.protocol import RecordGroup
from gateway.storage.records import Records
from gateway.storage.retention import Retention, RetentionLimits
from gateway.storage.subject import Subject
from tests import plain_http
from tests.gateway.anthropics import HI
from tests.gateway.conftest import table
from tests.gateway.postgres_server import PostgresServer
from tests.gateway.processes import Process
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend
from tests.gateway.test_feedback import FEEDBACK
from tests.gateway.test_migrations import differences
from tests.gateway.test_records import RECORD
from tests.patience import until


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


@pytest.fixture
def database(server: PostgresServer) -> PostgresDatabase:
    """Without tables."""
    with closing(PostgresDatabase(server.url).engine.connect()) as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
        connection.commit()
    return PostgresDatabase(server.url)


def column(database: PostgresDatabase, what: Any) -> list[Any]:
    with closing(database.connect()) as connection:
        return list(connection.scalars(select(what).order_by(what)))


def fill(database: PostgresDatabase, spool: Path, *rows: Any) -> None:
    records = Records(database, spool)
    for row in rows:
        (records.rate if isinstance(row, OutcomeRow) else records.write)(row)
    records.start()
    records.stop()


def test_rows_come_once_and_what_cannot_be_stored_is_left_out(database: PostgresDatabase, tmp_path: Path) -> None:
    with closing(database.connect()) as connection:
        assert differences(connection) == []
    outcome = OutcomeRow("a", "outcome", "person", 0.5, 1.0)
    odd = RECORD._replace(id="nul\0", model="a\0b", streamed=True, exceeded=2**40)
    refused = RECORD._replace(id="c", status="no number")  # type: ignore[arg-type]
    for _ in range(2):
        fill(database, tmp_path / "spool", RECORD._replace(id="a"), refused, odd, outcome, outcome._replace(score=1.0))
    assert column(database, schema.records.c.id) == ["a", "nul\ufffd"]
    assert column(database, schema.outcomes.c.score) == [0.5]


def test_retention_and_erasure(database: PostgresDatabase, tmp_path: Path) -> None:
    rows = [RECORD._replace(id=f"{n:04}", time=float(n), key=f"k{n % 2}", notes="x" * 100) for n in range(900)]
    fill(database, tmp_path / "spool", *rows, *(OutcomeRow(row.id, "m", "s", 1.0, 1.0, row.key) for row in rows))
    archived = DatabaseArchive(database, tmp_path / "spool", local=False)
    totals = archived.totals(RecordQuery(), ("key", "day"))
    assert [(each.group, each.requests, each.outcome.n) for each in totals] == [
        (("k0", 0), 450, 0),
        (("k1", 0), 450, 0),
    ]
    found = list(archived.rated(RecordQuery(key="k1", since=100.0)))
    assert [each.record for each in found] == [row for row in rows if row.key == "k1" and row.time >= 100]
    assert {outcome.metric for each in found for outcome in each.outcomes} == {"m"}
    with closing(database.connect()) as connection:
        retention = Retention(RetentionLimits(age_s=100), database)
        assert [retention.step(connection, 0.0, 800.0) for _ in range(3)] == [500, 200, 0]
        size = database.size(connection)
        assert 20_000 < size < 200_000
        assert Retention(RetentionLimits(bytes=size - 1), database).step(connection, 0.0, 0.0) == 200
    fill(database, tmp_path / "spool", *rows)
    assert archived.erase(Subject("k0")) == 450
    fill(database, tmp_path / "spool", *rows)
    assert column(database, schema.records.c.id) == [row.id for row in rows if row.key == "k1"]
    assert column(database, schema.outcomes.c.id) == []


def test_a_url_that_cannot_be_used_is_said_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def chosen(**records: Any) -> DatabaseArchive:
        served = {"deployments": {"d": {"url": "http://x", "family": "qwen3"}}, "models": {"m": {"deployment": "d"}}}
        found = archive(parse({**served, "records": records}, tmp_path))
        assert isinstance(found, DatabaseArchive)
        return found

    for bad in ("no url", "mysql://x/y", "postgresql+unknown://x/y"):
        with pytest.raises(ConfigError, match=r"records\.url"):
            chosen(url=bad)
    with pytest.raises(ConfigError, match="set one of them"):
        chosen(url="postgresql://x/y", url_env="HOME")
    away = chosen(url="postgresql://user:secret@127.0.0.1:9/none")
    away.prepare()
    assert "out of reach" in caplog.text and "secret" not in caplog.text and "secret" not in str(away)


@pytest.mark.parametrize("away_s", [1.0, pytest.param(60.0, marks=pytest.mark.long)])
def test_a_server_that_is_away_under_load_costs_nothing(
    away_s: float, server: PostgresServer, database: PostgresDatabase, backend: ScriptedBackend, tmp_path: Path
) -> None:
    """Every record and outcome arrives once, those of answers from before, during and after the outage."""
    url = {"url": server.url, "path": tmp_path / "records.db"}
    chosen = {**table(backend.url), "records": url, "feedback": {"max_per_minute": 1_000_000}}
    with RunningGateway(chosen, tmp_path) as gateway:
        rated: list[str] = []

        def ask(_: int) -> None:
            answer = gateway.post({"model": "plain", "messages": HI})
            assert answer.status_code == 200
            id = answer.headers["x-thinkgate-id"]
            for _ in range(2):
                done = gateway.post({"id": id, "score": 1}, FEEDBACK)
                assert (done.status_code, done.json()["accepted"]) == (200, True)
            rated.append(id)

        with ThreadPoolExecutor(4) as clients:
            list(clients.map(ask, range(20)))
            until(lambda: len(column(database, schema.records.c.id)) == 20)
            early = gateway.post({"model": "plain", "messages": HI}).headers["x-thinkgate-id"]
            until(lambda: len(column(database, schema.records.c.id)) == 21)
            server.stop()
            # Its record is in the database alone, which is away.
            assert gateway.post({"id": early, "score": 0}, FEEDBACK).json()["accepted"]
            assert gateway.post({"id": "chatcmpl-unknown", "score": 0}, FEEDBACK).status_code == 503
            until_then = time.monotonic() + away_s
            while time.monotonic() < until_then:
                list(clients.map(ask, range(8)))
            server.start()
            list(clients.map(ask, range(20)))
        until(lambda: len(column(database, schema.records.c.id)) == len(rated) + 1)
        gateway.stop()
        assert gateway.parts.records.lost == 0
    assert column(database, schema.records.c.id) == sorted([*rated, early])
    assert column(database, schema.outcomes.c.id) == sorted([*rated, early])


def test_a_gateway_that_is_killed_while_the_server_is_away_loses_nothing(
    server: PostgresServer, database: PostgresDatabase, config: Path
) -> None:
    """Answers and outcomes from before, of the killed gateway, and of the next one, which starts without a database."""
    config.write_text(f'records.url = "{server.url}"\n{config.read_text("utf-8")}', "utf-8")
    arguments = ("--config", config, "--port", "0")

    def answered(url: str) -> str:
        answer = plain_http.post(f"{url}/v1/chat/completions", json={"model": "pub", "messages": HI})
        assert answer.status_code == 200, answer.text
        return answer.headers["x-thinkgate-id"]

    def rated(url: str, id: str) -> str:
        done = plain_http.post(f"{url}{FEEDBACK}", json={"id": id, "score": 1})
        assert (done.status_code, done.json()["accepted"]) == (200, True), done.text
        return id

    with Process(*arguments, cwd=config.parent) as gateway:
        url = gateway.url()
        early = rated(url, answered(url))
        until(lambda: column(database, schema.outcomes.c.id) == [early])
        server.stop()
        ids = [early, *(rated(url, answered(url)) for _ in range(5)), answered(url)]
        gateway.stop(signal.SIGKILL)
    with Process(*arguments, cwd=config.parent) as gateway:
        url = gateway.url()
        # The last answer of the killed gateway is rated at this one, and another one's outcome is sent again.
        for id in ids[-2:]:
            rated(url, id)
        ids += [rated(url, answered(url)) for _ in range(5)]
        server.start()
        until(lambda: column(database, schema.records.c.id) == sorted(ids))
        until(lambda: column(database, schema.outcomes.c.id) == sorted(ids))
        assert gateway.stop() == 0
    assert column(database, schema.records.c.id) == column(database, schema.outcomes.c.id) == sorted(ids)


def test_groups_are_found_and_outcomes_expire(database: PostgresDatabase, tmp_path: Path) -> None:
    """What is said of conversations and sessions, and outcomes that go before their records."""
    rows = [RECORD._replace(id=f"r{n}", key="k", time=100.0 + n, unit=f"u{n % 2}", session="s") for n in range(4)]
    records = Records(database, tmp_path / "spool")
    records.start()
    for row in rows:
        records.write(row)
    records.rate(OutcomeRow("r1", "outcome", "person:session", 0.25, 150.0, "k"))
    records.rate(OutcomeRow("r3", "outcome", "verifier:exact", 1.0, 103.0, "k"))
    until(lambda: len(column(database, schema.outcomes.c.id)) == 2)
    for group, id in ((RecordGroup("session", "s"), "r3"), (RecordGroup("unit", "u0"), "r2")):
        found = records.latest(group, "k")
        assert found is not None and found.id == id and records.latest(group, None) is None
    assert records.group_score(RecordGroup("session", "s"), "k", "outcome", "person:session") == 0.25
    assert records.group_score(RecordGroup("unit", "u0"), "k", "outcome", "person:session") is None
    records.stop()
    with closing(database.connect()) as connection:
        retention = Retention(RetentionLimits(outcome_age_s=10.0), database)
        assert [retention.step(connection, now, 120.0) for now in (1.0, 2.0)] == [1, 0]
    assert column(database, schema.outcomes.c.id) == ["r1"] and len(column(database, schema.records.c.id)) == 4
