"""What is read from disk: settings, the spool, a router's artifact. Broken ones are told in words, or skipped."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway import assembly
from gateway.backends.latency import latency_models_of
from gateway.config.settings import Settings, load, parse
from gateway.core.errors import ConfigError
from gateway.core.record import Record
from router_model.model import shipped
from router_model.model.predict import ArtifactError
from router_model.model.predict import load as load_router
from tests.gateway.bounded import FEW, QUICK
from tests.gateway.conftest import table
from tests.gateway.stored import records_in

KEYS = st.sampled_from(
    [*Settings.model_fields, "url", "family", "deployment", "policy", "kind", "arms", "none", "weight"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["qwen3", "hybrid", "dial", "max"]),
    lambda of: st.lists(of, max_size=3) | st.dictionaries(KEYS | st.text(max_size=6), of, max_size=4),
    max_leaves=10,
)
TOML = b'[server]\nport = 8080\n[deployments.d]\nurl = "http://h/v1"\nfamily = "qwen3"\n[models.m]\ndeployment = "d"\n'


@st.composite
def changed(draw: st.DrawFn, raw: bytes) -> bytes:
    data = bytearray(raw)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


@QUICK
@given(st.data())
def test_any_table_is_settings_or_told_in_words(data: st.DataObject) -> None:
    settings: Any = table("http://h/v1")
    for _ in range(data.draw(st.integers(1, 3))):
        place = settings
        while isinstance(place, dict) and place and data.draw(st.booleans()):
            key = data.draw(st.sampled_from(sorted(place)))
            if not isinstance(place[key], dict):
                break
            place = place[key]
        place[data.draw(st.sampled_from(sorted(place) or ["x"]) | KEYS)] = data.draw(VALUES)
    try:
        chosen = parse(settings)
        known = assembly.deployments(chosen)
        assembly.catalogue(chosen, known, latency_models_of(known.values()))
    except ConfigError as error:
        assert error.faults and all(line and "\n" not in line for line in error.faults)


@FEW
@given(changed(TOML))
def test_any_file_is_settings_or_told_in_words(raw: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "thinkgate.toml"
        path.write_bytes(raw)
        try:
            load(path)
        except ConfigError as error:
            assert all("\n" not in line for line in error.faults)


LINE = json.dumps(Record(id="1", request_id="r", time=1.0, dialect="chat", status=200)._asdict()).encode()
ROWS = st.dictionaries(
    st.sampled_from(["id", "time", "status", "model", "forecast", "x"]), VALUES | st.integers(-(2**64), 2**64)
)


@FEW
@given(st.lists(changed(LINE) | st.binary(max_size=40) | ROWS.map(lambda row: json.dumps(row).encode()), max_size=6))
def test_no_line_of_the_spool_keeps_the_others_out(lines: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "records.db"
        spool = Path(f"{path}.spool")
        spool.mkdir()
        (spool / "orphan.jsonl").write_bytes(b"\n".join([*lines, LINE.replace(b'"id": "1"', b'"id": "last"')]) + b"\n")
        records = records_in(path)
        records.start()
        records.stop()
        with closing(sqlite3.connect(path)) as database:
            assert ("last",) in database.execute("SELECT id FROM records").fetchall()
        assert list(spool.iterdir()) == []


@FEW
@given(st.data())
def test_any_artifact_is_a_router_or_an_error(data: st.DataObject) -> None:
    header = json.loads((shipped.FOLDER / "tiny" / "artifact.json").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        header[data.draw(st.sampled_from(sorted(header)))] = data.draw(VALUES | st.none())
    raw = json.dumps(header).encode()
    raw = data.draw(st.just(raw) | changed(raw))
    with TemporaryDirectory() as folder:
        (Path(folder) / "weights.npz").symlink_to(shipped.FOLDER / "tiny" / "weights.npz")
        (Path(folder) / "artifact.json").write_bytes(raw)
        try:
            load_router(folder)
        except ArtifactError as error:
            assert "\n" not in str(error)
