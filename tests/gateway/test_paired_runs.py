"""Paired arms: a sample of requests is answered by every arm, in the background, where no client notices."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.commands.check import explain
from gateway.config.paired import PairedSettings
from gateway.config.settings import parse, share
from gateway.core.errors import ConfigError
from gateway.core.record import Record
from gateway.core.record_query import RecordQuery
from gateway.paired.eligibility import is_sampled
from gateway.paired.ledger import PairedLedger
from gateway.storage.archive import DatabaseArchive
from gateway.storage.sqlite import SqliteDatabase
from tests.gateway.conftest import Start, table
from tests.gateway.experimenting import HI, ask
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, ScriptedBackend, obedient
from tests.patience import until

ARMS: dict[str, Any] = {
    "merged": {"deployment": "hybrid"},
    "split": {"none": "instruct", "think": "thinking"},
    "thrifty": {"deployment": "hybrid", "policy": {"kind": "fixed", "effort": "none"}},
}
TWO = {name: ARMS[name] for name in ("merged", "split")}
TRIED: dict[str, Any] = {"model": "unrouted", "arms": ARMS, "paired": {"share": 1}}
ASK: dict[str, Any] = {"model": "unrouted", "messages": HI, "reasoning_effort": "low"}
NOWHERE = "http://127.0.0.1:9"


def settings(url: str, **changes: Any) -> dict[str, Any]:
    return {**table(url), "experiments": {"modes": {**TRIED, **changes}}}


def paired(gateway: RunningGateway) -> list[dict[str, Any]]:
    """The answers of other arms that are stored so far, of a gateway that goes on running."""
    with closing(sqlite3.connect(gateway.database)) as database:
        database.row_factory = sqlite3.Row
        try:
            found = database.execute("SELECT * FROM records WHERE paired_with IS NOT NULL ORDER BY id")
            return [dict(row) for row in found]
        except sqlite3.OperationalError:
            return []  # no table yet


def skipped(gateway: RunningGateway) -> dict[str, float]:
    """How many requests were left out, by the reason."""
    (found,) = gateway.parts.metrics.paired.skips.collect()
    return {one.labels["why"]: one.value for one in found.samples if one.name.endswith("_total")}


def answered(gateway: RunningGateway) -> dict[tuple[str, str], float]:
    (found,) = gateway.parts.metrics.paired.answers.collect()
    totals = [one for one in found.samples if one.name.endswith("_total")]
    return {(one.labels["arm"], one.labels["outcome"]): one.value for one in totals}


def of_arm(gateway: RunningGateway, arm: str) -> str:
    """A unit that this arm gets."""
    experiments, model = gateway.parts.experiments, gateway.parts.catalogue.find("unrouted")
    return next(unit for unit in map(str, range(100)) if experiments.assign(model, unit).arm.name == arm)


class Hanging:
    """A script that never answers for one model, and for all others at once."""

    def __init__(self, model: str) -> None:
        self.model, self.began = model, threading.Semaphore(0)

    async def __call__(self, connection: Connection) -> None:
        if connection.request.body.get("model") == self.model:
            self.began.release()
            await connection.hung_up()
        else:
            await obedient(connection)


def test_every_other_arm_answers_and_no_client_notices(backend: ScriptedBackend, start: Start, tmp_path: Path) -> None:
    units = [f"u{number}" for number in range(12)]
    alone = start({**settings(backend.url, paired=None), "records": {"path": tmp_path / "alone.db"}})
    arms = ask(alone, "unrouted", units, reasoning_effort="low")
    alone.stop()
    gateway = start(settings(backend.url, paired={"share": 1, "max_running": 100}))
    assert ask(gateway, "unrouted", units, reasoning_effort="low") == arms, "who gets which arm is as without pairs"
    streamed = gateway.post({"model": "unrouted", "messages": HI, "user": "s", "stream": True})
    assert b"four" in streamed.content
    until(lambda: len(paired(gateway)) == 2 * 13)
    metrics = gateway.parts.metrics.text().decode().splitlines()
    rows = gateway.records()
    clients = {row["id"]: row for row in rows if row["paired_with"] is None}
    assert len(clients) == 13
    for id, client in clients.items():
        others = [row for row in rows if row["paired_with"] == id]
        assert {client["arm"], *(row["arm"] for row in others)} == {*ARMS}
        for row in others:
            same = ("unit", "key", "model", "experiment", "dialect", "streamed", "requested")
            assert [row[name] for name in same] == [client[name] for name in same]
            assert row["status"] == 200 and row["request_id"] != client["request_id"]
            assert (row["ttft"] is None) == (client["ttft"] is None)
            assert row["deployment"] == {"merged": "hybrid", "split": "thinking", "thrifty": "hybrid"}[row["arm"]]
    times = Counter(row["arm"] for row in rows if row["paired_with"] is not None)
    assert answered(gateway) == {(arm, "answered"): times[arm] for arm in ARMS}
    seen = [line for line in metrics if line.startswith("thinkgate_requests_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in seen) == 13
    archive = DatabaseArchive(SqliteDatabase(gateway.database), gateway.database.with_suffix(".spool"))
    (totals,) = archive.totals(RecordQuery(), [])
    assert totals.requests == 13, "reports count what clients sent"
    assert len([*archive.rated(RecordQuery())]) == 13 and len([*archive.rated(RecordQuery(paired=True))]) == 39
    assert len([*archive.decisions("unrouted")]) == 13


def test_a_client_takes_the_place_of_an_answer_that_nobody_waits_for(backend: ScriptedBackend, start: Start) -> None:
    chosen = settings(backend.url, arms=TWO)
    for name in ("thinking", "hybrid"):
        chosen["deployments"][name] |= {"max_in_flight": 1, "max_queue": 0}
    backend.script = script = Hanging("a-thinking-model")
    gateway = start(chosen)
    gate = gateway.parts.admission["thinking"]
    body = {**ASK, "user": of_arm(gateway, "merged")}
    assert gateway.post(body).headers["x-thinkgate-arm"] == "merged"
    script.began.acquire()
    assert (gate.in_flight, gate.load.in_flight) == (1, 0), "it makes no client's thinking dearer"
    backend.script = obedient
    assert gateway.post({**body, "model": "split"}).status_code == 200, "it neither waits nor is refused"
    until(lambda: answered(gateway) == {("split", "cut_short"): 1.0})
    until(lambda: not gateway.parts.ledgers.paired.running)
    assert gate.in_flight == 0
    # Where a client has the place, no other arm answers.
    backend.script = script = Hanging("a-thinking-model")
    with gateway.leaving({**body, "model": "split"}):
        script.began.acquire()
        assert gateway.post(body).status_code == 200
        until(lambda: skipped(gateway) == {"busy": 1.0})
    (row,) = [row for row in gateway.records() if row["paired_with"] is not None]
    assert (row["status"], row["client_gone"], row["arm"]) == (499, 1, "split")


def test_a_gateway_that_stops_cuts_them_short(backend: ScriptedBackend, start: Start) -> None:
    backend.script = script = Hanging("a-thinking-model")
    gateway = start(settings(backend.url, arms=TWO))
    assert gateway.post({**ASK, "user": of_arm(gateway, "merged")}).status_code == 200
    script.began.acquire()
    first, again = gateway.records()
    assert (first["status"], again["status"], again["paired_with"]) == (200, 499, first["id"])
    assert gateway.parts.ledgers.paired.running == 0


def test_what_is_not_answered_again(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(settings(backend.url, arms=TWO))
    body = {**ASK, "user": "u", "reasoning_effort": "none"}
    assert gateway.post({**body, "n": 2}).status_code == 200
    assert gateway.post({**body, "model": "merged"}).status_code == 200, "in no experiment"
    assert gateway.post({**body, "messages": []}).status_code == 400
    gateway.post({"model": "unrouted", "prompt": "hi"}, path="/v1/completions")
    backend.script = script = Hanging("an-instruct-model")
    with gateway.leaving({**body, "user": of_arm(gateway, "split")}):
        script.began.acquire()
    until(lambda: skipped(gateway) == {"choices": 1.0, "passthrough": 1.0, "client_gone": 1.0})

    async def failing(connection: Connection) -> None:
        await connection.answer(500, b"{}")

    backend.script = failing
    assert gateway.post(body).status_code == 500
    until(lambda: sum(answered(gateway).values()))
    (row,) = [row for row in gateway.records() if row["paired_with"] is not None]
    assert row["status"] == 500, "errors are compared, too"


def test_other_dialects_store_nothing_twice(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(settings(backend.url, arms=TWO))
    first = gateway.post({"model": "unrouted", "input": "hi", "user": "u"}, path="/v1/responses")
    message = {"model": "unrouted", "messages": HI, "max_tokens": 4096, "metadata": {"user_id": "u"}}
    second = gateway.post(message, path="/v1/messages", headers={"anthropic-version": "2023-06-01"})
    until(lambda: len(paired(gateway)) == 2)
    rows = gateway.records()
    assert Counter(row["dialect"] for row in rows) == {"responses": 2, "messages": 2}
    ids = [row["answer_id"] for row in rows if row["paired_with"] is None]
    assert first.json()["id"] in ids and second.status_code == 200
    assert first.json()["id"] not in [row["answer_id"] for row in rows if row["paired_with"] is not None]


def test_no_key_pays_for_them_and_its_ceiling_holds(backend: ScriptedBackend, tmp_path: Path) -> None:
    with KeyedGateway(settings(backend.url), tmp_path, Clock()) as gateway:
        key = gateway.key(tokens_per_minute=100_000, requests_per_minute=100, ceiling="none")
        body, left = {**ASK, "max_tokens": 100, "reasoning_effort": "none"}, []
        for number, unit in enumerate("abcd", 1):
            answer = gateway.post({**body, "user": unit}, headers={"authorization": f"Bearer {key}"})
            assert answer.status_code == 200
            left.append(int(answer.headers["x-ratelimit-remaining-tokens"]))
            until(lambda number=number: len(paired(gateway)) == 2 * number)
        assert {before - after for before, after in pairwise(left)} == {16}, "the client's own"
        rows = gateway.records()
    assert {row["applied"] for row in rows} == {"none"} and len({row["key"] for row in rows}) == 1


def test_samples_depend_on_nothing_but_the_request() -> None:
    ids = [f"{number:028x}" for number in range(5000)]
    drawn = [is_sampled("modes", id, 0.2) for id in ids]
    assert sum(drawn) / 5000 == pytest.approx(0.2, abs=0.02)
    assert drawn == [is_sampled("modes", id, 0.2) for id in ids]
    both = sum(one and is_sampled("other", id, 0.2) for one, id in zip(drawn, ids, strict=True))
    assert both / 5000 == pytest.approx(0.04, abs=0.01)
    assert all(is_sampled("modes", id, 1.0) and not is_sampled("modes", id, 0.0) for id in ids[:100])


def test_limits_hold_until_there_is_room_again() -> None:
    clock = Clock()
    ledger = PairedLedger(clock)
    record = Record("i", "r", clock.now, "chat", 200, experiment="modes", completion_tokens=60, cost=0.5)

    def begin(**limits: Any) -> str | None:
        return ledger.begin("modes", PairedSettings(share=1.0, **{"max_running": 2, **limits}))

    assert [begin(), begin(), begin()] == [None, None, "max_running"]
    ledger.end("modes")
    assert begin(max_per_minute=2) == "max_per_minute"
    clock.now += 60
    assert begin(max_per_minute=2) is None
    for _ in range(2):
        ledger.end("modes")
        ledger.observe(record)
    assert begin(max_tokens=120.0) == "max_tokens" and begin(max_dollars=1.0) == "max_dollars"
    ledger.observe(record._replace(probe="thrown_away", probe_tokens=5, experiment="other"))
    clock.now += 3600
    assert begin(max_tokens=120.0) is None
    assert ledger.running == 1


def test_one_worker_has_its_part_of_the_limits() -> None:
    limits = {"share": 0.5, "max_running": 3, "max_per_minute": 10, "max_tokens": 100.0}
    given = share(parse(settings(NOWHERE, paired=limits)), 4).experiments["modes"].paired
    assert given == PairedSettings(share=0.5, max_running=1, max_per_minute=3, max_tokens=25.0)


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"share": 1.5}, "share: input should be less than or equal to 1"),
    ({"share": -0.1}, "share: input should be greater than or equal to 0"),
    ({"share": float("nan")}, "share: input should be a finite number"),
    ({}, "share: is required"),
    ({"share": 1, "max_running": 0}, "max_running: input should be greater than or equal to 1"),
    ({"share": 1, "max_per_minute": -1}, "max_per_minute: input should be greater than or equal to 1"),
    ({"share": 1, "max_tokens": 0}, "max_tokens: input should be greater than 0"),
    ({"share": 1, "max_dollars": -1}, "max_dollars: input should be greater than 0"),
    ({"share": 1, "max_dollars": 1}, "max_dollars: no deployment of its arms has a price"),
    ({"share": 1, "every": "week"}, "every: input should be 'hour' or 'day'"),
    ({"share": 1, "max_runing": 2}, "max_runing"),
]


def test_settings_that_cannot_be_are_refused_with_the_reason() -> None:
    for given, fault in FAULTS:
        with pytest.raises(ConfigError) as caught:
            list(explain(parse(settings(NOWHERE, paired=given))))
        assert any(f"experiments.modes.paired.{fault}" in line for line in caught.value.faults), caught.value.faults
    with pytest.raises(ConfigError, match="an experiment compares two arms or more, and there is one"):
        list(explain(parse(settings(NOWHERE, arms={"merged": ARMS["merged"]}))))
    limits = {"share": 0.25, "max_per_minute": 60, "max_tokens": 50_000, "every": "day"}
    (line,) = [line for line in explain(parse(settings(NOWHERE, paired=limits))) if "Every other arm" in line]
    assert line.strip() == (
        "Every other arm answers 25% of the requests, too, in the background: at most 4 at once, 60 a minute, "
        "50000 tokens a day."
    )


def test_feedback_on_a_conversation_is_about_what_the_client_got(backend: ScriptedBackend, start: Start) -> None:
    """The other arm's answer came later, and has an id of its own to be scored by."""
    gateway = start(settings(backend.url, arms=TWO))
    answer = gateway.post({**ASK, "metadata": {"conversation_id": "c"}})
    until(lambda: len(paired(gateway)) == 1)
    (again,) = paired(gateway)
    whole = gateway.post({"conversation": "c", "score": 1}, path="/v1/feedback")
    assert whole.json()["id"] == answer.headers["x-thinkgate-id"] == again["paired_with"]
    assert gateway.post({"id": again["id"], "score": 0}, path="/v1/feedback").json()["id"] == again["id"]


def test_verifiers_score_the_answers_of_all_arms(backend: ScriptedBackend, start: Start) -> None:
    chosen = settings(backend.url)
    chosen["models"]["unrouted"]["verify"] = [{"kind": "exact"}]
    gateway = start(chosen)
    assert gateway.post({**ASK, "user": "u", "thinkgate": {"expected": "four"}}).status_code == 200
    until(lambda: len(paired(gateway)) == 2)
    ids = [row["id"] for row in gateway.records()]
    with closing(sqlite3.connect(gateway.database)) as database:
        found = dict(database.execute("SELECT id, score FROM outcomes WHERE source = 'verifier:exact'").fetchall())
    assert found == dict.fromkeys(ids, 1.0) and len(ids) == 3
