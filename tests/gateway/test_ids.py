"""Whose request it was: ids and traces pass to the backend and back, and nothing else of the kind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.fault_scripts import BODY, HEAD, STREAM, says
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, ScriptedBackend

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "hi"}]}
ECHO = "the one it was given"
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1,b=2"}


def test_ids_and_traces_reach_the_backend(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    scripted_gateway.post(ASK, headers={**TRACE, "x-request-id": "mine"})
    sent = backend.requests[-1].headers
    assert {**TRACE, "x-request-id": "mine"}.items() <= sent.items()


def test_a_trace_state_in_several_headers_is_one(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    headers = [("tracestate", "a=1"), ("traceparent", TRACE["traceparent"]), ("tracestate", "b=2")]
    scripted_gateway.post(ASK, headers=headers)
    assert backend.requests[-1].headers["tracestate"] == "a=1,b=2"


@pytest.mark.parametrize("value", ["\x01", "é", "x" * 2000])
def test_a_trace_that_is_none_stays_here(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, value: str
) -> None:
    answer = scripted_gateway.post(ASK, headers={"traceparent": value.encode("latin-1"), "x-request-id": "mine"})
    if answer.status_code == 200:
        assert "traceparent" not in backend.requests[-1].headers
    else:
        assert answer.status_code == 400 and backend.requests == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["x-request-id", "request-id"])
@pytest.mark.parametrize(("its", "told"), [("abc-123", "abc-123"), (ECHO, None), ("\x7f", None), ("x" * 300, None)])
def test_the_backends_own_id_is_not_lost(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, name: str, its: str, told: str | None, stream: bool
) -> None:
    body = STREAM if stream else BODY

    async def answer_with_id(connection: Connection) -> None:
        id = connection.request.headers["x-request-id"] if its == ECHO else its
        head = HEAD + f"{name}: {id}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        await says(head + body, then="keep")(connection)

    backend.script = answer_with_id
    answer = scripted_gateway.post({**ASK, "stream": stream}, headers={"x-request-id": "mine"})
    assert answer.status_code == 200 and answer.headers["x-request-id"] == "mine"
    assert answer.headers.get("x-upstream-request-id") == told


def test_it_is_in_the_log_of_a_failure(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(connection: Connection) -> None:
        error = json.dumps({"error": {"message": "no room"}}).encode()
        await connection.answer(503, error, {"x-request-id": "abc-123"})

    backend.script = refuse
    scripted_gateway.post(ASK, headers={"x-request-id": "mine"})
    assert "request mine" in caplog.text and "abc-123" in caplog.text
