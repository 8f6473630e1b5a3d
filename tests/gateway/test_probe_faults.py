"""A probe that fails or is late is no error: the request goes on without it, and says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.backends.capabilities import Capability
from gateway.core.arm import Arm
from gateway.core.probe import ProbeUse
from gateway.routing.effort_router.protocol import PreparedArm
from tests.gateway.conftest import Start, table
from tests.gateway.late import late
from tests.gateway.leaks import held, settled
from tests.gateway.probing import SURE, UNSURE, AskingArm, AskingRouter, Short, is_probe, piece, with_router
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, Connection, Script, ScriptedBackend, delta, obedient

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "hi"}]}


async def hangs(connection: Connection) -> None:
    await connection.hung_up()


async def begins_and_hangs(connection: Connection) -> None:
    if connection.request.body.get("stream"):
        await connection.begin_stream()
        await connection.event(piece("five", SURE))
    await connection.hung_up()


async def is_cut(connection: Connection) -> None:
    if connection.request.body.get("stream"):
        await connection.begin_stream()
        await connection.event(piece("five", SURE))
    connection.cut()


async def ends_early(connection: Connection) -> None:
    """Without a reason to finish."""
    await connection.begin_stream()
    await connection.event(piece("five", SURE))
    await connection.event("[DONE]")
    await connection.end_stream()


async def breaks(connection: Connection) -> None:
    await connection.answer(500, b'{"error":{"message":"out of memory"}}')


async def is_busy(connection: Connection) -> None:
    await connection.answer(429, b'{"error":{"message":"slow down","code":"busy"}}')


async def is_no_json(connection: Connection) -> None:
    await connection.answer(200, b"<html>")


async def refuses_logprobs(connection: Connection) -> None:
    await connection.answer(400, b'{"error":{"message":"Requested sample logprobs of 2, which is more than 0"}}')


async def refuses(connection: Connection) -> None:
    await connection.answer(400, b'{"error":{"message":"no","code":"because"}}')


async def ignores_logprobs(connection: Connection) -> None:
    if connection.request.body.get("stream"):
        await connection.begin_stream()
        for token in ("five", " ok"):
            await connection.event(delta(content=token))
        await connection.event(delta("stop"))
        await connection.event("[DONE]")
        await connection.end_stream()
    else:
        await connection.answer(200, json.dumps(ANSWER).encode())


LATE = {"hangs": hangs, "begins and hangs": begins_and_hangs}
FAULTS: dict[str, tuple[Script, str]] = {
    **{name: (script, "backend_timeout") for name, script in LATE.items()},
    "is cut": (is_cut, "."),
    "ends early": (ends_early, "."),
    "breaks": (breaks, "server_error"),
    "is busy": (is_busy, "busy"),
    "is no JSON": (is_no_json, "."),
    "is refused": (refuses, "because"),
}


def failing(script: Script) -> Script:
    async def play(connection: Connection) -> None:
        await (script if is_probe(connection) else obedient)(connection)

    return play


def gateway_of(start: Start, backend: ScriptedBackend, router: AskingRouter) -> RunningGateway:
    settings = table(backend.url)
    # Where a clock runs ahead for a probe, nothing else is late by it.
    for deployment in settings["deployments"].values():
        deployment |= {"connect_timeout_s": 80_000, "read_timeout_s": 80_000, "total_timeout_s": 80_000}
    for name in ("merged", "split"):
        settings["models"][name]["policy"] = settings["models"][name]["policy"] | {"probe_wait_s": 30}
    return with_router(start(settings), router)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["merged", "split"])
@pytest.mark.parametrize(("script", "why"), FAULTS.values(), ids=FAULTS.keys())
def test_the_request_goes_on(
    start: Start, backend: ScriptedBackend, script: Script, why: str, model: str, stream: bool
) -> None:
    gateway = gateway_of(start, backend, AskingRouter())
    before = held(gateway)
    backend.script = failing(late(gateway, script, 31) if script in LATE.values() else script)
    answer = gateway.post({**ASK, "model": model, "stream": stream})
    assert answer.status_code == 200 and "four" in answer.text and "five" not in answer.text
    assert (answer.headers["x-thinkgate-reason"], answer.headers["x-thinkgate-budget"]) == ("router", "64")
    assert answer.headers["x-thinkgate-note"].startswith("the probe failed (")
    assert settled(gateway, before) == before
    assert all(gate.in_flight == 0 for gate in gateway.parts.dispatch.admission.values())
    (row,) = gateway.records()
    assert (row["status"], row["probe"], row["reason"], row["decided"]) == (200, "failed", "router", "64")
    assert why in row["notes"] or why == "."
    if row["probe_tokens"]:
        assert row["probe_tokens"] == 1, "what was heard of it was paid for"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("script", "times"), [(refuses_logprobs, 1), (ignores_logprobs, 3)])
def test_a_backend_without_log_probabilities_is_not_asked_again(
    start: Start, backend: ScriptedBackend, script: Script, times: int, stream: bool
) -> None:
    """Once it has refused them, or has left them out three times in a row: one odd answer may have had no tokens."""
    router = AskingRouter()
    gateway = gateway_of(start, backend, router)
    backend.script = failing(script)
    for _ in range(5):
        assert gateway.post({**ASK, "stream": stream}).headers["x-thinkgate-reason"] == "router"
    assert sum(bool(request.body.get("logprobs")) for request in backend.requests) == times
    router.strange = True
    assert gateway.post(ASK).headers["x-thinkgate-reason"] == "fallback"
    gateway.parts.capabilities.learn("hybrid", Capability("native"))
    backend.script = Short(SURE)
    assert gateway.post(ASK).headers["x-thinkgate-reason"] == "probe", "discovery has been there again"


def test_what_is_strange_and_cannot_be_asked_gets_the_default(start: Start, backend: ScriptedBackend) -> None:
    gateway = gateway_of(start, backend, AskingRouter(strange=True))
    backend.script = failing(breaks)
    answer = gateway.post(ASK)
    assert (answer.headers["x-thinkgate-reason"], answer.headers["x-thinkgate-budget"]) == ("fallback", "32")


class ForgetfulArm(AskingArm):
    def update(self, *_: Any) -> Any:
        raise RuntimeError("no luck today")


class Forgetful(AskingRouter):
    def prepare(self, arm: Arm, ask: ProbeUse) -> PreparedArm:
        return ForgetfulArm(self.version, self, arm)


def test_a_router_that_fails_on_a_probe_leaves_thinking(start: Start, backend: ScriptedBackend) -> None:
    gateway = gateway_of(start, backend, Forgetful())
    backend.script = Short(SURE)
    answer = gateway.post(ASK)
    assert answer.status_code == 200 and answer.headers["x-thinkgate-budget"] == "64"
    (row,) = gateway.records()
    assert (row["probe"], row["reason"]) == ("thrown_away", "router")


def test_a_probe_takes_no_second_place(start: Start, backend: ScriptedBackend) -> None:
    """At a deployment with one place, the thought has the place of its probe."""
    settings = table(backend.url)
    settings["deployments"]["hybrid"] |= {"max_in_flight": 1, "max_queue": 0}
    gateway = with_router(start(settings), AskingRouter(), "merged")
    backend.script = Short(UNSURE)
    assert [gateway.post(ASK).status_code for _ in range(3)] == [200] * 3
    assert gateway.parts.dispatch.admission["hybrid"].in_flight == 0


def test_the_time_for_the_answer_is_that_of_both(start: Start, backend: ScriptedBackend) -> None:
    settings = table(backend.url)
    settings["deployments"]["hybrid"]["total_timeout_s"] = 50
    settings["models"]["merged"]["policy"] = settings["models"]["merged"]["policy"] | {"probe_wait_s": 30}
    gateway = with_router(start(settings), AskingRouter(), "merged")
    backend.script = late(gateway, hangs, 51)
    answer = gateway.post(ASK)
    assert answer.status_code == 504
    (row,) = gateway.records()
    assert (row["probe"], row["status"]) == ("failed", 504)


def test_what_breaks_after_it_was_let_go_is_told_in_the_stream(start: Start, backend: ScriptedBackend) -> None:
    settings = table(backend.url)
    settings["models"]["merged"]["policy"] = settings["models"]["merged"]["policy"] | {"probe_tokens": 2}

    async def breaks_off(connection: Connection) -> None:
        await connection.begin_stream()
        for token in ("five", " six"):
            await connection.event(piece(token, SURE))
        await connection.event({"error": {"message": "out of memory", "code": 500}})
        await connection.end_stream()

    gateway = with_router(start(settings), AskingRouter(), "merged")
    backend.script = failing(breaks_off)
    text = gateway.post({**ASK, "stream": True}).text
    assert "five" in text and "out of memory" in text and "[DONE]" not in text
    (row,) = gateway.records()
    assert (row["probe"], row["status"]) == ("kept", 500)
