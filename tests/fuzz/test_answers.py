"""What backends send: whatever it is, the client gets an answer or one of our errors, and the record can be written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.chat.encoder import ChatEncoder
from gateway.backends.chat_answer import read_answer
from gateway.backends.failures import wait_s
from gateway.core.backend_errors import BackendRefused, error_fields
from gateway.core.errors import GatewayError
from gateway.core.record import Record
from gateway.storage.rows import insert
from tests.gateway.bounded import FEW, QUICK
from tests.gateway.conftest import table
from tests.gateway.fault_scripts import BODY, STREAM, says
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, ScriptedBackend, obedient
from tests.gateway.stored import connect

NAMES = st.sampled_from([*ANSWER, "message", "finish_reason", "error", "code", "type", "param", "reasoning_tokens"])
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5)
)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda of: st.lists(of, max_size=4) | st.dictionaries(NAMES, of, max_size=6), max_leaves=20
)
ANSWERS = st.builds(lambda change: {**ANSWER, **change}, st.dictionaries(NAMES, JSON, max_size=3)) | JSON


def deep(levels: int) -> bytes:
    return b'{"model":"b","choices":[],"error":{"message":"m","x":' + b"[" * levels + b"]" * levels + b"}}"


@QUICK
@given(
    ANSWERS.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=80)
    | (st.integers(0, 2000) | st.integers(240, 260)).map(deep)
)
def test_any_plain_answer_is_read_or_an_error(raw: bytes) -> None:
    try:
        answer, usage, reason = read_answer(raw)
        body = asyncio.run(ChatEncoder("public").whole(answer, raw))
    except GatewayError as error:
        orjson.loads(error.body())
        return
    assert orjson.loads(body) == {**orjson.loads(raw), "model": "public"}
    row = Record("1", "r", 0.0, "chat", 200, finish_reason=reason, prompt_tokens=usage.prompt_tokens)
    with TemporaryDirectory() as folder, closing(connect(Path(folder) / "records.db")) as database:
        insert(database, [row])


@QUICK
@given(
    ANSWERS.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=80)
    | (st.integers(0, 2000) | st.integers(240, 260)).map(deep)
)
def test_any_refusal_can_be_passed_on(raw: bytes) -> None:
    fields = error_fields(raw)
    if fields is not None:
        error = BackendRefused(500, {}, fields)
        assert orjson.loads(error.body())["error"]["message"] == error.message
        assert len(error.type) <= 100 and len(error.code or "") <= 100


@QUICK
@given(st.text(max_size=30) | st.floats().map(str), st.sampled_from(["retry-after", "retry-after-ms"]))
def test_any_wait_is_seconds_or_nothing(value: str, name: str) -> None:
    seconds = wait_s({name: value})
    assert seconds is None or 0 <= seconds < float("inf")


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ScriptedBackend, RunningGateway, httpx.Client]]:
    with (
        ScriptedBackend() as backend,
        RunningGateway(table(backend.url), tmp_path_factory.mktemp("fuzz")) as gateway,
        gateway.http() as client,
    ):
        yield backend, gateway, client


PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(STREAM) + STREAM


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A correct answer with bytes changed, put in or taken out."""
    raw = bytearray(draw(st.sampled_from([PLAIN, SSE])))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(raw)))
        raw[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(raw)


@FEW
@given(broken(), st.booleans())
def test_any_http_of_a_backend_is_an_answer_or_an_error(
    front: tuple[ScriptedBackend, RunningGateway, httpx.Client], raw: bytes, stream: bool
) -> None:
    backend, _, client = front
    ask = {"model": "merged", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    backend.script = says(raw, then="close")
    answer = client.post("/v1/chat/completions", json=ask)
    if answer.headers["content-type"].startswith("text/event-stream"):
        last = answer.text.rstrip().rsplit("\n\n", 1)[-1]
        assert last == "data: [DONE]" or json.loads(last.removeprefix("data: "))["error"]["code"]
    else:
        assert ("error" in answer.json()) == (answer.status_code != 200)
        assert answer.status_code != 500, "that would be a fault of the gateway's own"
    backend.script = obedient
    assert client.post("/v1/chat/completions", json={**ask, "stream": False}).json()["model"] == "merged"
