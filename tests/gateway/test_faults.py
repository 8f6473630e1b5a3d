"""Backends that fail, and clients that leave: what the client sees, what is recorded, what is let go."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from typing import Any

import openai
import pytest

from gateway.ports import free_port
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, Connection, Script, ScriptedBackend, delta, obedient, sse

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "hi"}]}
ERROR = {"message": "too many", "type": "rate_limit_error", "param": "messages", "code": "slow_down"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 401, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504])
def test_a_refusal_keeps_everything(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, status: int, stream: bool
) -> None:
    async def refuse(connection: Connection) -> None:
        headers = {"retry-after": "7", "retry-after-ms": "7100", "x-should-retry": "false", "x-internal": "no"}
        await connection.answer(status, json.dumps({"error": ERROR}).encode(), headers)

    backend.script = refuse
    answer = scripted_gateway.post({**ASK, "stream": stream, "reasoning_effort": "low"})
    assert answer.status_code == status
    assert answer.json() == {"error": ERROR}
    kept = {name: answer.headers.get(name) for name in ("retry-after", "retry-after-ms", "x-should-retry")}
    assert kept == {"retry-after": "7", "retry-after-ms": "7100", "x-should-retry": "false"}
    assert "x-internal" not in answer.headers
    assert answer.headers["x-thinkgate-effort"] == "low" and answer.headers["x-thinkgate-reason"] == "client"
    (row,) = scripted_gateway.records()
    assert (row["status"], row["error_type"], row["error_code"]) == (status, "rate_limit_error", "slow_down")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"object":"error","message":"old shape","type":"BadRequestError","param":null,"code":400}', "old shape"),
        (b'{"error":"only words"}', "only words"),
        (b"<html>Bad gateway</html>", "The backend answered 400."),
        (b"", "The backend answered 400."),
    ],
)
def test_a_refusal_in_any_shape_comes_out_in_openai_s(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, body: bytes, message: str
) -> None:
    async def refuse(connection: Connection) -> None:
        await connection.answer(400, body)

    backend.script = refuse
    with scripted_gateway.sdk() as client, pytest.raises(openai.BadRequestError, match=message):
        client.chat.completions.create(**ASK)


async def _nonsense(connection: Connection) -> None:
    await connection.answer(200, b'{"choices": [')


async def _no_completion(connection: Connection) -> None:
    await connection.answer(200, b'{"object": "list"}')


async def _reset(connection: Connection) -> None:
    connection.cut()


async def _half_a_body(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n" + json.dumps(ANSWER).encode()[:100])
    connection.cut()


async def _error_first(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event({"error": {**ERROR, "code": 503}})
    await connection.end_stream()


async def _empty_stream(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.end_stream()


@pytest.mark.parametrize(
    ("script", "stream", "status", "code"),
    [
        (_nonsense, False, 502, "backend_error"),
        (_no_completion, False, 502, "backend_error"),
        (_reset, False, 502, "backend_error"),
        (_reset, True, 502, "backend_error"),
        (_half_a_body, False, 502, "backend_error"),
        (_error_first, True, 503, "503"),
        (_empty_stream, True, 502, "stream_cut"),
    ],
)
def test_a_failure_before_the_first_event_is_a_status(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, script: Script, stream: bool, status: int, code: str
) -> None:
    backend.script = script
    answer = scripted_gateway.post({**ASK, "stream": stream})
    assert answer.status_code == status
    assert str(answer.json()["error"]["code"]) == code
    (row,) = scripted_gateway.records()
    assert (row["status"], row["error_code"]) == (status, code)


async def _cut_short(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(delta(content="fo"))
    connection.cut()


async def _stops_unfinished(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(delta(content="fo"))
    await connection.end_stream()


async def _half_an_event(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(delta(content="fo"))
    await connection.event(delta("stop"))
    await connection.chunk(sse(delta(content="ur"))[:-30])
    await connection.end_stream()


async def _error_inside(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(delta(content="fo"))
    await connection.event({"error": ERROR})
    await connection.event("[DONE]")
    await connection.end_stream()


async def _broken_json(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(delta(content="fo"))
    await connection.chunk(b'data: {"usage": {\n\n')
    await connection.end_stream()


@pytest.mark.parametrize("script", [_cut_short, _stops_unfinished, _half_an_event, _error_inside, _broken_json])
def test_a_stream_that_breaks_ends_in_an_error_event(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, script: Script
) -> None:
    backend.script = script
    seen = []
    with scripted_gateway.sdk() as client, pytest.raises(openai.APIError):
        for chunk in client.chat.completions.create(**ASK, stream=True):
            seen.append(chunk.choices[0].delta.content)
    assert seen[0] == "fo"
    raw = scripted_gateway.post({**ASK, "stream": True}).text
    assert raw.rstrip().rsplit("\n\n", 1)[-1].startswith('data: {"error":') and "[DONE]" not in raw
    rows = scripted_gateway.records()
    assert len(rows) == 2 and all(row["error_type"] and row["status"] == 502 for row in rows)


async def _no_end_mark(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(delta(content="four"))
    await connection.event(delta("stop"))
    await connection.end_stream()


def test_a_finished_answer_without_an_end_mark_is_complete(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    backend.script = _no_end_mark
    assert scripted_gateway.post({**ASK, "stream": True}).text.endswith("data: [DONE]\n\n")
    (row,) = scripted_gateway.records()
    assert (row["status"], row["finish_reason"], row["error_type"]) == (200, "stop", None)


def test_an_unreachable_backend(start: Start) -> None:
    gateway = start(table(f"http://127.0.0.1:{free_port()}/v1"))
    for stream in (False, True):
        answer = gateway.post({**ASK, "stream": stream})
        assert answer.status_code == 502 and answer.json()["error"]["code"] == "backend_unreachable"
    assert gateway.get("/ready").status_code == 503
    assert [row["error_code"] for row in gateway.records()] == ["backend_unreachable"] * 2


@pytest.mark.parametrize("begun", [False, True])
def test_a_backend_that_hangs_is_given_up(backend: ScriptedBackend, start: Start, begun: bool) -> None:
    async def hang(connection: Connection) -> None:
        if begun:
            await connection.begin_stream()
            await connection.event(delta(content="fo"))
        await connection.hung_up()

    settings = table(backend.url)
    settings["deployments"]["hybrid"]["read_timeout_s"] = 0.2
    backend.script = hang
    gateway = start(settings)
    answer = gateway.post({**ASK, "stream": True})
    assert answer.status_code == (200 if begun else 504)
    assert '"code":"backend_timeout"' in answer.text
    (row,) = gateway.records()
    assert (row["status"], row["error_code"]) == (504, "backend_timeout")


@pytest.mark.parametrize("begun", [False, True])
def test_the_first_piece_of_a_stream_has_a_limit_of_its_own(
    backend: ScriptedBackend, start: Start, begun: bool
) -> None:
    async def silent(connection: Connection) -> None:
        await connection.begin_stream()
        if begun:
            await connection.event(delta(content="fo"))
            await asyncio.sleep(0.4)
            await connection.event(delta("stop"))
            await connection.event("[DONE]")
            await connection.end_stream()
        await connection.hung_up()

    settings = table(backend.url)
    settings["deployments"]["hybrid"]["first_token_timeout_s"] = 0.2
    backend.script = silent
    gateway = start(settings)
    assert gateway.post({**ASK, "stream": True}).status_code == (200 if begun else 504)
    (row,) = gateway.records()
    assert row["error_code"] == (None if begun else "backend_timeout")


@pytest.mark.parametrize("stream", [False, True])
def test_a_steady_drip_ends_when_its_time_is_over(backend: ScriptedBackend, start: Start, stream: bool) -> None:
    async def drip(connection: Connection) -> None:
        await connection.begin_stream()
        for _ in range(1000):
            await connection.event(delta(content="x"))
            await asyncio.sleep(0.02)

    settings = table(backend.url)
    settings["deployments"]["hybrid"]["total_timeout_s"] = 0.3
    backend.script = drip
    gateway = start(settings)
    answer = gateway.post({**ASK, "stream": stream})
    assert '"code":"backend_timeout"' in answer.text
    assert answer.status_code == (200 if stream else 504)
    (row,) = gateway.records()
    assert (row["status"], row["error_code"]) == (504, "backend_timeout")


def test_an_idle_connection_that_the_backend_dropped_is_no_error(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async def answer_and_drop(connection: Connection) -> None:
        await obedient(connection)
        connection.cut()

    backend.script = answer_and_drop
    for _ in range(5):
        assert scripted_gateway.post(ASK).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_cancels_the_backend(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, stream: bool
) -> None:
    arrived = threading.Semaphore(0)
    gone = threading.Semaphore(0)

    async def endless(connection: Connection) -> None:
        if stream:
            await connection.begin_stream()
            await connection.event(delta(content="fo"))
        arrived.release()
        await connection.hung_up()
        gone.release()

    backend.script = endless
    body = json.dumps({**ASK, "stream": stream}).encode()
    host, port = scripted_gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        assert arrived.acquire(timeout=10)
        if stream:
            assert b"fo" in client.recv(65536)
    assert gone.acquire(timeout=10), "the backend was not told"
    (row,) = scripted_gateway.records()
    assert (row["client_gone"], row["status"], row["deployment"]) == (1, 499, "hybrid")


def test_a_client_that_leaves_before_its_request_is_complete(scripted_gateway: RunningGateway) -> None:
    host, port = scripted_gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
    (row,) = scripted_gateway.records()
    assert (row["client_gone"], row["status"]) == (1, 499)
