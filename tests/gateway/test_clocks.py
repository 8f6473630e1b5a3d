"""A wall clock that jumps: nothing that waits looks at it, and records are kept whatever it says."""

from __future__ import annotations

import ast
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import gateway
from gateway.core.record import Record
from gateway.execution.ids import Ids
from tests.gateway.stored import records_in

SOURCES = Path(gateway.__file__).parent
WAITING = (
    "api/asgi.py",
    "api/endpoint.py",
    "api/hang_ups.py",
    "backends/admission.py",
    "backends/attempt.py",
    "backends/deadline.py",
    "backends/discovery/discovery.py",
    "backends/replicas.py",
    "backends/transport.py",
    "execution/enforcement/two_phase.py",
    "serving/connection.py",
    "serving/server.py",
    "serving/workers.py",
)
WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.datetime.now"}


@pytest.mark.parametrize("name", WAITING)
def test_nothing_that_waits_looks_at_the_wall_clock(name: str) -> None:
    tree = ast.parse((SOURCES / name).read_text("utf-8"))
    names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & WALL_CLOCKS


def test_a_clock_that_jumps_costs_no_record(tmp_path: Path) -> None:
    records, ids = records_in(tmp_path / "records.db"), Ids()
    records.start()
    for at in (1.8e9, 0.0, -5.0, 4e9, 1.8e9):
        records.write(Record(id=ids.new(), request_id="r", time=at, dialect="chat", status=200))
    records.stop()
    with closing(sqlite3.connect(tmp_path / "records.db")) as database:
        assert [row[0] for row in database.execute("SELECT time FROM records ORDER BY time")] == [
            -5.0,
            0.0,
            1.8e9,
            1.8e9,
            4e9,
        ]
