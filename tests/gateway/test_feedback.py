"""Outcomes that clients report: found by any id, counted once, whoever else sends what."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import openai
import orjson
import pytest

from gateway.core.outcome_row import OutcomeRow
from gateway.storage.protocol import RecordGroup
from tests.gateway.anthropics import HI, MESSAGES
from tests.gateway.conftest import table
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend
from tests.gateway.stored import records_in, spool_of
from tests.gateway.test_records import RECORD

FEEDBACK = "/v1/feedback"
ASK: dict[str, Any] = {"model": "plain", "messages": HI}


def outcomes(path: Path, columns: str = "*") -> list[Any]:
    """Those that are stored so far; none while there is no table."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=30)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'outcomes'").fetchall():
            return []
        return database.execute(f"SELECT {columns} FROM outcomes ORDER BY id, metric, source").fetchall()


@pytest.fixture
def keyed(backend: ScriptedBackend, tmp_path: Path) -> Iterator[KeyedGateway]:
    with KeyedGateway(table(backend.url), tmp_path, Clock()) as running:
        yield running


def told(answer: httpx.Response) -> tuple[int, str | None, str]:
    error = answer.json()["error"]
    return answer.status_code, error["param"], error["code"]


def test_every_id_of_an_answer_finds_its_record(scripted_gateway: RunningGateway) -> None:
    """Right after the answer, when the record is not in the table yet."""
    gateway = scripted_gateway
    given: dict[str, str] = {}
    for stream in (False, True):
        for path, body in (
            ("/v1/chat/completions", ASK),
            (MESSAGES, {**ASK, "max_tokens": 100}),
            ("/v1/responses", {"model": "plain", "input": "hi"}),
        ):
            answer = gateway.post({**body, "stream": stream}, path, headers={"x-request-id": f"mine-{len(given)}"})
            own = answer.headers["x-thinkgate-id"]
            metrics = [f"by-{n}" for n in range(3)]
            for metric, id in zip(metrics, (own, answer.headers["x-request-id"], id_in(answer)), strict=True):
                done = gateway.post({"id": id, "score": True, "metric": metric}, FEEDBACK)
                assert done.status_code == 200, (path, stream, id, done.text)
                assert done.json() == {"id": own, "metric": metric, "accepted": True, "duplicate": False}
            given[own] = path
    gateway.stop()
    assert {row[0] for row in outcomes(gateway.database, "id")} == given.keys()
    assert outcomes(gateway.database, "score, source, weight") == [(1.0, "person", 1.0)] * 18


def id_in(answer: httpx.Response) -> str:
    """The id in the body of an answer, which may be a stream."""
    for line in answer.text.splitlines():
        found = orjson.loads(line.removeprefix("data: ")) if line.startswith(("{", "data: {")) else {}
        for part in (found, found.get("message", {}), found.get("response", {})):
            if part.get("id"):
                return str(part["id"])
    raise AssertionError(answer.text)


def test_the_first_outcome_stands(scripted_gateway: RunningGateway) -> None:
    sdk = scripted_gateway.sdk()
    answer = sdk.chat.completions.with_raw_response.create(**ASK)
    id = answer.headers["x-thinkgate-id"]

    def report(**more: Any) -> tuple[bool, bool]:
        body = {"id": id, "score": 0.25, "comment": "meh", **more}
        done = sdk.post("/feedback", body=body, cast_to=httpx.Response).json()
        return done["accepted"], done["duplicate"]

    assert report() == (True, False)
    assert report() == (True, True)
    assert report(score=1) == (False, True)
    assert report(score=False, metric="tone", label="rude") == (True, False)
    scripted_gateway.stop()
    assert outcomes(scripted_gateway.database, "metric, score, label, comment") == [
        ("outcome", 0.25, None, "meh"),
        ("tone", 0.0, "rude", "meh"),
    ]


BAD: tuple[tuple[Any, str | None, str], ...] = (
    ({"score": 1}, "id", "missing_required_parameter"),
    ({"id": 5, "score": 1}, "id", "invalid_type"),
    ({"id": "x" * 201, "score": 1}, "id", "string_above_max_length"),
    ({"id": "x"}, "score", "missing_required_parameter"),
    ({"id": "x", "score": None}, "score", "missing_required_parameter"),
    ({"id": "x", "score": "1"}, "score", "invalid_type"),
    ({"id": "x", "score": [1]}, "score", "invalid_type"),
    ({"id": "x", "score": 1.01}, "score", "invalid_value"),
    ({"id": "x", "score": -0.1}, "score", "invalid_value"),
    ({"id": "x", "score": 1e70}, "score", "invalid_value"),
    ({"id": "x", "score": math.nan}, "score", "invalid_value"),
    ({"id": "x", "score": -math.inf}, "score", "invalid_value"),
    ({"id": "x", "score": 1, "metric": "No Spaces"}, "metric", "invalid_value"),
    ({"id": "x", "score": 1, "metric": ""}, "metric", "invalid_value"),
    ({"id": "x", "score": 1, "label": 7}, "label", "invalid_type"),
    ({"id": "x", "score": 1, "comment": "c" * 4001}, "comment", "string_above_max_length"),
    ({"id": "x", "score": 1, "scores": 1}, "scores", "unknown_parameter"),
    ({"id": "x", "score": "true"}, "score", "invalid_type"),
    ({"id": "x", "session": "y", "score": 1}, "session", "invalid_value"),
    ({"session": "x", "conversation": "y", "score": 1}, "session", "invalid_value"),
    ({"conversation": ["x"], "score": 1}, "conversation", "invalid_type"),
    ({"session": "", "score": 1}, "session", "missing_required_parameter"),
    ({"conversation": "c" * 9000, "score": 1}, "conversation", "string_above_max_length"),
    ({"conversation": "c", "score": "0.5"}, "score", "invalid_type"),
    ({"conversation": "c", "score": math.inf}, "score", "invalid_value"),
)


def test_what_is_wrong_is_named(scripted_gateway: RunningGateway) -> None:
    for body, param, code in BAD:
        assert told(scripted_gateway.post(json.dumps(body).encode(), FEEDBACK)) == (400, param, code), body
    for raw in (b"", b"[]", b"{", b'{"id":"a","id":"b","score":1}', b'{"id":NaN,"score":1}'):
        assert scripted_gateway.post(raw, FEEDBACK).status_code == 400, raw
    for number in (b"1e999", b"-1e400", b"1" * 30):
        raw = b'{"id": "x", "score": ' + number + b"}"
        assert told(scripted_gateway.post(raw, FEEDBACK)) == (400, "score", "invalid_value"), raw
    assert scripted_gateway.post(b" " * 70_000, FEEDBACK).status_code == 413
    assert scripted_gateway.request("PUT", FEEDBACK).status_code == 405
    for unknown in ("x", "0" * 28, "msg_" + "0" * 28, "resp_" + "0" * 48, "chatcmpl-x", "\0", "é" * 100):
        assert told(scripted_gateway.post({"id": unknown, "score": 1}, FEEDBACK)) == (404, "id", "request_not_found")


def test_nobody_rates_another_key_s_requests(keyed: KeyedGateway) -> None:
    secrets = [keyed.key(), keyed.key(requests_per_minute=3)]
    mine, theirs = ({"authorization": f"Bearer {secret}"} for secret in secrets)
    answer = keyed.post(ASK, headers=mine)
    for id in (answer.headers["x-thinkgate-id"], answer.headers["x-request-id"], answer.json()["id"]):
        done = keyed.post({"id": id, "score": 1}, FEEDBACK, headers=theirs)
        assert told(done) == (404, "id", "request_not_found")
    assert keyed.post({"id": "x", "score": 1}, FEEDBACK, headers=theirs).status_code == 429
    assert keyed.post({"id": "x", "score": 1}, FEEDBACK).status_code == 401
    assert keyed.post({"id": answer.json()["id"], "score": 1}, FEEDBACK, headers=mine).status_code == 200
    keyed.stop()
    first = keyed.keys.all()[0].id
    assert outcomes(keyed.database, "id, key, score") == [(answer.headers["x-thinkgate-id"], first, 1.0)]


SESSION = {"x-session-id": "run 7"}


def turns(gateway: RunningGateway, **headers: str) -> list[str]:
    """A request in each dialect of one conversation in one session; the gateway's ids for them."""
    named: dict[str, Any] = {"metadata": {"conversation_id": "trip"}}
    asked = (
        ("/v1/chat/completions", {**ASK, **named}),
        (MESSAGES, {**ASK, **named, "max_tokens": 100}),
        ("/v1/responses", {"model": "plain", "input": "hi", **named}),
    )
    answers = [gateway.post(body, path, headers={**SESSION, **headers}) for path, body in asked]
    assert [answer.status_code for answer in answers] == [200] * 3, [answer.text for answer in answers]
    return [answer.headers["x-thinkgate-id"] for answer in answers]


def test_a_conversation_and_a_session_have_outcomes(scripted_gateway: RunningGateway) -> None:
    """Kept with the latest request, and once, however many requests come after it."""
    gateway = scripted_gateway

    def report(**body: Any) -> tuple[str, bool, bool]:
        done = gateway.post({"score": 0.5, **body}, FEEDBACK)
        assert done.status_code == 200, done.text
        return done.json()["id"], done.json()["accepted"], done.json()["duplicate"]

    last = turns(gateway)[-1]
    assert report(conversation="trip") == (last, True, False)
    assert report(session="run 7", score=True) == (last, True, False)
    assert report(id=last, score=0) == (last, True, False)
    newer = turns(gateway)[-1]
    assert report(conversation="trip") == (newer, True, True)
    assert report(conversation="trip", score=1) == (newer, False, True)
    assert report(session="run 7", score=1) == (newer, True, True)
    assert report(session="run 7", metric="tone") == (newer, True, False)
    assert told(gateway.post({"session": "trip", "score": 1}, FEEDBACK)) == (404, "session", "request_not_found")
    rows = gateway.records()
    assert len({row["session"] for row in rows} | {row["unit"] for row in rows}) == 2
    expected = [("outcome", "person", 0.0), ("outcome", "person:conversation", 0.5), ("outcome", "person:session", 1.0)]
    assert outcomes(gateway.database, "id, metric, source, score") == [
        *((last, *each) for each in expected),
        (newer, "tone", "person:session", 0.5),
    ]


def test_nobody_rates_another_key_s_conversations(keyed: KeyedGateway) -> None:
    mine, theirs = ({"authorization": f"Bearer {keyed.key()}"} for _ in range(2))
    turns(keyed, **mine)
    for name in ({"conversation": "trip"}, {"session": "run 7"}):
        assert told(keyed.post({**name, "score": 1}, FEEDBACK, headers=theirs))[2] == "request_not_found"
        assert keyed.post({**name, "score": 1}, FEEDBACK, headers=mine).status_code == 200


def test_what_is_on_its_way_counts_as_what_is_stored(tmp_path: Path) -> None:
    """Records and outcomes that no import has reached yet, then the same ones from the table."""
    records, late = records_in(tmp_path / "records.db"), RecordGroup("session", "5e55")
    rows = [RECORD._replace(id=f"r{n}", key="k", time=float(n), session="5e55", unit=f"u{n % 2}") for n in range(4)]
    # Answers of other arms, which no client has got, are not what a client speaks of.
    others = [row._replace(id=f"of {row.id}", time=9.0, paired_with=row.id) for row in rows]
    for row in (*rows, *others):
        records.write(row)
    records.rate(OutcomeRow("r1", "outcome", "person:session", 0.25, 9.0, "k"))
    records.rate(OutcomeRow("r1", "outcome", "person:conversation", 0.75, 9.0, "k", unit="u1"))

    def check() -> None:
        for group, id in ((late, "r3"), (RecordGroup("unit", "u0"), "r2"), (RecordGroup("unit", "u1"), "r3")):
            found = records.latest(group, "k")
            assert found is not None and found.id == id
            assert records.latest(group, "other") is None and records.latest(group, None) is None
        assert records.group_score(late, "k", "outcome", "person:session") == 0.25
        assert records.group_score(RecordGroup("unit", "u1"), "k", "outcome", "person:conversation") == 0.75
        for group, key, metric, source in (
            (RecordGroup("unit", "u0"), "k", "outcome", "person:conversation"),
            (late, "other", "outcome", "person:session"),
            (late, "k", "tone", "person:session"),
            (late, "k", "outcome", "person"),
        ):
            assert records.group_score(group, key, metric, source) is None

    check()
    records.start()
    records.stop()
    check()


def test_a_key_may_report_so_much(backend: ScriptedBackend, tmp_path: Path) -> None:
    with RunningGateway({**table(backend.url), "feedback": {"max_per_minute": 5}}, tmp_path) as gateway:
        statuses = [gateway.post({"id": "x", "score": 1}, FEEDBACK).status_code for _ in range(40)]
        assert 429 in statuses and statuses[:5] == [404] * 5
    with RunningGateway({**table(backend.url), "feedback": {"accept": False}}, tmp_path) as gateway:
        assert gateway.post({"id": "x", "score": 1}, FEEDBACK).status_code == 404
        assert FEEDBACK not in gateway.get("/openapi.json").json().get("paths", {})


def test_what_a_dead_process_left_is_found_and_imported_once(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    records = records_in(path)
    records.write(RECORD._replace(id="a", key="k"))
    assert records.find("a", "k") is not None and records.find("a", None) is None
    left = orjson.dumps(RECORD._replace(id="b", answer_id="chatcmpl-b")._asdict())
    spool_of(path).joinpath("other.jsonl").write_bytes(left + b"\n")
    found = records.find("chatcmpl-b", None)
    assert found is not None and found.id == "b"
    records.start()
    records.stop()
    assert records.find("a", "k") is not None and records.find("chatcmpl-b", None) == found


def test_openai_s_client_reads_the_errors(scripted_gateway: RunningGateway) -> None:
    with pytest.raises(openai.NotFoundError, match="There is no request"):
        scripted_gateway.sdk().post("/feedback", body={"id": "x", "score": 1}, cast_to=httpx.Response)
