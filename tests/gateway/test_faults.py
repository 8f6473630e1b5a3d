"""Refusals in odd shapes, limits on waiting, and clients that leave. What backends do wrong is in the fault suite."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

import openai
import pytest

from tests.gateway.conftest import Start, table
from tests.gateway.late import late
from tests.gateway.refusing import refusing
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, ScriptedBackend, delta, obedient
from tests.patience import PATIENCE_S, until

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "hi"}]}


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


def test_a_gateway_is_not_ready_without_its_backend(start: Start) -> None:
    with refusing() as nowhere:
        gateway = start(table(nowhere))
        assert gateway.get("/ready").status_code == 503 and gateway.get("/health").status_code == 200


@pytest.mark.parametrize("silent_from", ["the start", "the headers", "the first piece"])
def test_the_first_piece_of_a_stream_has_a_limit_of_its_own(
    backend: ScriptedBackend, start: Start, silent_from: str
) -> None:
    heard = threading.Event()

    async def silent(connection: Connection) -> None:
        if silent_from == "the start":
            return await connection.hung_up()
        await connection.begin_stream()
        if silent_from == "the headers":
            return await connection.hung_up()
        await connection.event(delta(content="fo"))
        await asyncio.to_thread(heard.wait, PATIENCE_S)
        gateway.turn(31)
        await connection.event(delta("stop"))
        await connection.event("[DONE]")
        return await connection.end_stream()

    begun = silent_from == "the first piece"
    gateway = start(_hurried(backend))
    backend.script = silent if begun else late(gateway, silent, 31)
    with (
        gateway.sdk() as client,
        contextlib.nullcontext() if begun else pytest.raises(openai.InternalServerError) as caught,
    ):
        for chunk in client.chat.completions.create(**ASK, stream=True):
            assert chunk.choices[0].delta.content == ("fo" if not heard.is_set() else None)
            heard.set()
    assert begun or caught.value.status_code == 504
    (row,) = gateway.records()
    assert row["error_code"] == (None if begun else "backend_timeout")


def test_a_plain_answer_has_no_first_piece(backend: ScriptedBackend, start: Start) -> None:
    async def slow(connection: Connection) -> None:
        gateway.turn(31)
        await obedient(connection)

    gateway = start(_hurried(backend))
    backend.script = slow
    assert gateway.post(ASK).status_code == 200


def _hurried(backend: ScriptedBackend) -> dict[str, Any]:
    """Settings where the first piece of a stream has to be there in half a minute."""
    settings = table(backend.url)
    settings["deployments"]["hybrid"]["first_token_timeout_s"] = 30
    return settings


def test_an_idle_connection_that_the_backend_dropped_is_no_error(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async def answer_and_drop(connection: Connection) -> None:
        await obedient(connection)
        connection.cut()

    backend.script = answer_and_drop
    for _ in range(5):
        assert scripted_gateway.post(ASK).status_code == 200


@pytest.mark.parametrize("rude", [False, True])
def test_a_connection_that_drops_when_it_is_used_again_is_no_error(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, rude: bool
) -> None:
    served: list[asyncio.StreamWriter] = []

    async def once(connection: Connection) -> None:
        if connection.writer not in served:
            served.append(connection.writer)
            return await obedient(connection)
        return connection.cut() if rude else connection.writer.close()

    backend.script = once
    for _ in range(5):
        assert scripted_gateway.post(ASK).status_code == 200
    assert len(backend.requests) == 9, "each but the first was sent to the old connection, then to a new one"


@pytest.mark.parametrize("rude", [False, True])
def test_a_backend_that_dies_of_a_request_gets_it_once(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, rude: bool
) -> None:
    async def die(connection: Connection) -> None:
        return connection.cut() if rude else connection.writer.close()

    backend.script = die
    assert scripted_gateway.post(ASK).status_code == 502
    assert len(backend.requests) == 1


def test_a_large_request_arrives_whole_and_again_elsewhere(start: Start) -> None:
    async def no_room(connection: Connection) -> None:
        await connection.answer(503, b"{}")

    much = [{"role": "user", "content": "x" * 5_000_000}]
    with ScriptedBackend(no_room) as first, ScriptedBackend() as second:
        settings = table(first.url)
        settings["deployments"]["hybrid"]["url"] = [first.url, second.url]
        gateway = start(settings)
        # Which replica a conversation begins at depends on their ports.
        for number in range(64):
            asked = {**ASK, "messages": [{"role": "system", "content": str(number)}, *much]}
            assert gateway.post(asked).status_code == 200
            if first.requests:
                break
        assert first.requests and all(r.body["messages"][1:] == much for r in first.requests + second.requests)


@pytest.mark.parametrize("stream", [False, True])
def test_a_backend_that_does_not_read_is_given_up(start: Start, stream: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings = table(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1")
        settings["deployments"]["hybrid"]["total_timeout_s"] = 0.3
        gateway = start(settings)
        much = [{"role": "user", "content": "x" * 16_000_000}]
        answer = gateway.post({**ASK, "messages": much, "stream": stream})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "backend_timeout")
        (row,) = gateway.records()
        assert (row["status"], row["error_code"]) == (504, "backend_timeout")


def test_a_client_that_leaves_before_its_request_is_complete(served_gateway: RunningGateway) -> None:
    host, port = served_gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
    until(lambda: 'status="499"' in served_gateway.get("/metrics").text)
    (row,) = served_gateway.records()
    assert (row["client_gone"], row["status"]) == (1, 499)
