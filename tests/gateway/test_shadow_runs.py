"""Shadows: live requests are answered again at another effort, where no client notices, to learn from the pair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.limits import KeyChange
from gateway.core.record_query import RecordQuery
from gateway.storage.archive import DatabaseArchive
from gateway.storage.sqlite import SqliteDatabase
from tests.gateway.conftest import Start
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.scripted import Connection, ScriptedBackend
from tests.gateway.shadowing import (
    ASK,
    Thinker,
    agreements,
    compared,
    counted,
    judge_that_says,
    left_out,
    outcomes,
    settings,
    skipped,
)
from tests.patience import until


def rows_of(gateway: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The records of clients, and those of answers in the background."""
    rows = gateway.records()
    return [row for row in rows if row["paired_with"] is None], [row for row in rows if row["paired_with"] is not None]


def test_the_other_end_of_the_ladder_answers_too_and_no_client_notices(backend: ScriptedBackend, start: Start) -> None:
    backend.script = Thinker()
    gateway = start(settings(backend.url, prices=True))
    for effort in ("none", "high"):
        gateway.post({**ASK, "reasoning_effort": effort})
    gateway.post({**ASK, "stream": True, "max_tokens": 9000})
    compared(gateway, 3)
    metrics = gateway.parts.metrics
    assert agreements(gateway) == {("other", "different", "numeric"): 3.0}
    assert counted(metrics.shadows.answers) == {("unrouted", "shadow", "answered"): 3.0}
    assert sum(counted(metrics.shadows.tokens).values()) == 49 and sum(counted(metrics.shadows.dollars).values()) > 0.04
    clients, shadows = rows_of(gateway)
    assert [row["applied"] for row in clients] == ["none", "128", "none"]
    assert {row["paired_with"]: row["applied"] for row in shadows} == {
        clients[0]["id"]: "256",
        clients[1]["id"]: "none",
        clients[2]["id"]: "256",
    }
    assert {(row["reason"], row["propensity"], row["experiment"], row["key"]) for row in shadows} == {
        ("shadow", 1.0, None, None)
    }
    found = outcomes(gateway)
    assert [(row["id"], row["metric"], row["source"], row["score"], row["label"]) for row in found] == [
        (row["id"], "changed", "shadow", 1.0, "numeric") for row in clients
    ]
    assert [(row["unit"], row["time"]) for row in found] == [(row["unit"], row["time"]) for row in clients]
    archive = DatabaseArchive(SqliteDatabase(gateway.database), gateway.database.with_suffix(".spool"))
    (totals,) = archive.totals(RecordQuery(), [])
    assert totals.requests == 3, "reports count what clients sent"


def test_the_same_effort_again_shows_what_differs_by_chance(backend: ScriptedBackend, start: Start) -> None:
    backend.script = Thinker(quick="4")
    gateway = start(settings(backend.url, same_effort=1.0))
    gateway.post(ASK)
    compared(gateway, 1)
    assert agreements(gateway) == {("same", "equal", "exact"): 1.0}
    (client,), (shadow,) = rows_of(gateway)
    assert client["applied"] == shadow["applied"] == "none"
    (found,) = outcomes(gateway)
    assert (found["id"], found["metric"], found["score"]) == (client["id"], "varied", 0.0)


def test_nothing_runs_where_nothing_is_drawn(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(settings(backend.url, shadow=0.0))
    gateway.post(ASK)
    clients, shadows = rows_of(gateway)
    assert len(clients) == 1 and not shadows and not skipped(gateway) and len(backend.requests) == 1


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


NOT_AGAIN: list[tuple[dict[str, Any], str]] = [
    ({"store": True}, "store"),
    ({"thinkgate": {"learn": False}}, "opted_out"),
    ({"n": 2}, "choices"),
    ({"tools": [tool("look"), tool("send_mail")]}, "tools"),
    ({"web_search_options": {}}, "tools"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]}, "media"),
    ({"model": "fixed"}, "one_effort"),
    ({"model": "plain"}, "no_effort_control"),
]


def test_what_acts_or_opts_out_is_never_answered_again(backend: ScriptedBackend, start: Start) -> None:
    backend.script = Thinker()
    gateway = start(settings(backend.url, read_only_tools=["look"]))
    for fields, _ in NOT_AGAIN:
        assert gateway.post({**ASK, **fields}).status_code == 200, fields
    wanted: dict[str, float] = {}
    for _, why in NOT_AGAIN:
        wanted[why] = wanted.get(why, 0.0) + 1
    assert left_out(gateway, len(NOT_AGAIN)) == wanted
    assert len(backend.requests) == len(NOT_AGAIN)
    for fields in ({"store": False}, {"thinkgate": {"learn": True}}, {"tools": [tool("look")]}):
        assert gateway.post({**ASK, **fields}).status_code == 200
    compared(gateway, 3)
    for fields in ({"store": "no"}, {"thinkgate": {"learn": "no"}}):
        assert gateway.post({**ASK, **fields}).status_code == 400


def test_other_dialects_are_answered_again_and_store_nothing_twice(backend: ScriptedBackend, start: Start) -> None:
    backend.script = Thinker()
    gateway = start(settings(backend.url))
    response = {"model": "unrouted", "input": "How many?", "reasoning": {"effort": "none"}}
    first = gateway.post(response, path="/v1/responses").json()
    gateway.post({**response, "store": False}, path="/v1/responses")
    message = {"model": "unrouted", "messages": ASK["messages"], "max_tokens": 9000}
    gateway.post(message, path="/v1/messages", headers={"anthropic-version": "2023-06-01"})
    compared(gateway, 3)
    gateway.post({**response, "store": True}, path="/v1/responses")
    assert left_out(gateway, 1) == {"store": 1.0}
    clients, shadows = rows_of(gateway)
    assert sorted(row["dialect"] for row in shadows) == ["messages", "responses", "responses"]
    assert first["id"] in {row["answer_id"] for row in clients}
    assert first["id"] not in {row["answer_id"] for row in shadows}


def test_answers_that_cannot_be_compared_teach_nothing(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(settings(backend.url))
    backend.script = Thinker(finish="length")
    gateway.post(ASK)
    assert left_out(gateway, 1) == {"length": 1.0}
    backend.script = Thinker(quick="I would say so.", thought="That is how I see it, too.")
    gateway.post(ASK)
    assert left_out(gateway, 2) == {"length": 1.0, "undecided": 1.0}
    gateway.stop()
    assert outcomes(gateway) == []


def test_clients_are_served_when_all_shadows_fail(backend: ScriptedBackend, start: Start) -> None:
    quick = Thinker()

    async def failing_to_think(connection: Connection) -> None:
        if (connection.request.body.get("chat_template_kwargs") or {}).get("enable_thinking", True):
            await connection.answer(500, b"{}")
        else:
            await quick(connection)

    backend.script = failing_to_think
    gateway = start(settings(backend.url))
    assert [gateway.post(ASK).status_code for _ in range(5)] == [200] * 5
    assert left_out(gateway, 5) == {"shadow_failed": 5.0}
    clients, shadows = rows_of(gateway)
    assert {row["status"] for row in clients} == {200} and {row["status"] for row in shadows} == {500}
    assert outcomes(gateway) == []


def test_the_caps_of_the_day_hold(backend: ScriptedBackend, start: Start, tmp_path: Path) -> None:
    backend.script = Thinker()
    gateway = start(settings(backend.url, prices=True, shadow_usd=1.27))
    gateway.post(ASK)
    assert left_out(gateway, 1) == {"shadow_usd": 1.0}, "it might take more than is left of the day"
    gateway.post({**ASK, "max_tokens": 1000})
    compared(gateway, 1)
    gateway.stop()
    again = start(settings(backend.url, prices=True, shadow_tokens=1275))
    again.post({**ASK, "max_tokens": 1000})
    assert left_out(again, 1) == {"shadow_tokens": 1.0}, "a restart begins no new day"


def test_texts_are_kept_only_where_operator_and_client_allow_it(backend: ScriptedBackend, start: Start) -> None:
    backend.script = Thinker()
    silent = start(settings(backend.url))
    silent.post(ASK)
    compared(silent, 1)
    silent.stop()
    assert [row["comment"] for row in outcomes(silent)] == [None]
    gateway = start(settings(backend.url, text=True))
    for fields in ({}, {"store": False}, {"messages": [{"role": "user", "content": "How many?" * 10_000}]}):
        gateway.post({**ASK, **fields})
    compared(gateway, 3)
    gateway.stop()
    _, kept, *others = [row["comment"] for row in outcomes(gateway)]
    assert json.loads(kept) == {"messages": ASK["messages"], "answers": ["41", "42"]} and others == [None, None]


def test_an_erasure_takes_the_shadows_along(backend: ScriptedBackend, start: Start) -> None:
    """Also one that begins after it: its record has the time of the client's request."""
    backend.script = Thinker()
    gateway = start(settings(backend.url))
    gateway.post(ASK)
    compared(gateway, 1)
    (client,), (shadow,) = rows_of(gateway)
    assert shadow["time"] == client["time"] and outcomes(gateway)[0]["time"] == client["time"]


def test_a_key_or_team_opts_out_at_any_time(backend: ScriptedBackend, tmp_path: Path) -> None:
    backend.script = thinker = Thinker()
    with KeyedGateway(settings(backend.url), tmp_path, Clock()) as gateway:
        out = gateway.key(learn=False)
        secret = gateway.key()
        (id,) = [key.id for key in gateway.keys.all() if key.limits.learn is None]

        def ask(secret: str) -> None:
            assert gateway.post(ASK, headers={"authorization": f"Bearer {secret}"}).status_code == 200

        ask(out)
        assert left_out(gateway, 1) == {"opted_out": 1.0}
        ask(secret)
        compared(gateway, 1)

        async def while_it_runs(connection: Connection) -> None:
            if (connection.request.body.get("chat_template_kwargs") or {}).get("enable_thinking", True):
                gateway.keys.update(id, KeyChange.read({"limits": {"learn": False}}))
            await thinker(connection)

        backend.script = while_it_runs
        ask(secret)
        assert left_out(gateway, 2) == {"opted_out": 2.0}, "its pair is dropped"
        backend.script = thinker
        ask(secret)
        assert left_out(gateway, 3) == {"opted_out": 3.0}
        clients, shadows = rows_of(gateway)
    found = outcomes(gateway)
    assert len(clients) == 4 and len(shadows) == 2 and {row["key"] for row in shadows} == {id}
    assert [(row["id"], row["key"]) for row in found] == [(clients[1]["id"], id)]


JUDGES = [
    ("longer", lambda one, other: "A" if len(one) > len(other) else "B", "second", 1.0, (0.0, 1.0)),
    ("shorter", lambda one, other: "**b**." if len(one) > len(other) else "A", "first", 1.0, (1.0, 0.0)),
    ("even", lambda one, other: "Tie", "tie", 0.0, (0.5, 0.5)),
    ("always A", lambda one, other: "A", "flipped", 0.0, (0.5, 0.5)),
]


@pytest.mark.parametrize("judge", ["hybrid", "merged", "instruct"])
def test_a_judge_compares_free_texts_blind_and_in_both_orders(
    judge: str, backend: ScriptedBackend, start: Start
) -> None:
    backend.script = thinker = Thinker("Take the train.", "Take the train, as it is faster than the bus.")
    gateway = start(settings(backend.url, judge=judge))
    for number, (_, says, _, _, _) in enumerate(JUDGES * 5, 1):
        thinker.judge = judge_that_says(says)
        gateway.post(ASK)
        compared(gateway, number)
    wanted = {(result,): 5.0 for _, _, result, _, _ in JUDGES}
    assert counted(gateway.parts.metrics.shadows.judgements) == wanted
    assert len(thinker.prompts) == 40 and all("How many?" in one and "none" not in one for one in thinker.prompts)
    clients, others = rows_of(gateway)
    shadows = {row["paired_with"]: row["id"] for row in others if row["reason"] == "shadow"}
    judges = [row for row in others if row["reason"] == "judge"]
    assert len(judges) == 40 and {(row["model"], row["applied"]) for row in judges} == {(judge, "none")}
    found = {(row["id"], row["metric"]): row["score"] for row in outcomes(gateway)}
    for client, (name, _, _, changed, preferred) in zip(clients, JUDGES * 5, strict=True):
        id = client["id"]
        assert found[id, "changed"] == changed, name
        assert (found[id, "preferred"], found[shadows[id], "preferred"]) == preferred, name
    assert {row["source"] for row in outcomes(gateway)} == {"shadow:judge"}


def test_a_judge_that_always_says_the_same_is_found_out(
    backend: ScriptedBackend, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    backend.script = thinker = Thinker("Take the train.", "Take the bus.", judge_that_says(lambda one, other: "A"))
    gateway = start(settings(backend.url, judge="hybrid"))
    for number in range(1, 23):
        gateway.post(ASK)
        compared(gateway, number)
    assert len(thinker.prompts) == 2 * 20, "nobody asks it any more"
    assert counted(gateway.parts.metrics.shadows.judgements) == {("flipped",): 20.0, ("not_used",): 2.0}
    assert "the judge hybrid is no longer used" in caplog.text
    gateway.stop()
    assert outcomes(gateway) == []


def test_judges_that_fail_or_chatter_say_nothing(backend: ScriptedBackend, start: Start) -> None:
    backend.script = Thinker("Take the train.", "Take the bus.", lambda prompt: "I think that A is better than B.")
    gateway = start(settings(backend.url, judge="hybrid"))
    gateway.post(ASK)
    assert left_out(gateway, 1) == {"undecided": 1.0}
    assert counted(gateway.parts.metrics.shadows.judgements) == {("invalid",): 1.0}


def test_a_client_takes_the_place_of_a_shadow(backend: ScriptedBackend, start: Start) -> None:
    chosen = settings(backend.url)
    chosen["deployments"]["hybrid"] |= {"max_in_flight": 1, "max_queue": 0}
    quick = Thinker()

    async def never_done_thinking(connection: Connection) -> None:
        if (connection.request.body.get("chat_template_kwargs") or {}).get("enable_thinking", True):
            await connection.hung_up()
        else:
            await quick(connection)

    backend.script = never_done_thinking
    gateway = start(chosen)
    assert gateway.post(ASK).status_code == 200
    until(lambda: len(backend.requests) == 2)
    backend.script = quick
    assert gateway.post({**ASK, "thinkgate": {"learn": False}}).status_code == 200, "it neither waits nor is refused"
    assert left_out(gateway, 2) == {"gave_way": 1.0, "opted_out": 1.0}
    clients, (shadow,) = rows_of(gateway)
    assert (len(clients), shadow["status"], shadow["client_gone"]) == (2, 499, 1)
