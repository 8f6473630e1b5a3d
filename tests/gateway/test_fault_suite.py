"""Every fault that a backend can have, through the front door with the official SDK: what the client saw, what was
recorded, and that nothing is held afterwards."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.app import make_parts
from gateway.config.settings import parse
from gateway.core.record import Record
from gateway.storage.records import Records
from gateway.storage.sqlite import SqliteDatabase
from tests.gateway import fault_scripts as does
from tests.gateway.conftest import table
from tests.gateway.fault_scripts import BODY, ERROR, FIRST, HEAD, SSE_HEAD, STREAM, TWICE, says, sized, streams
from tests.gateway.late import late
from tests.gateway.leaks import Held, held, settled, spoilt
from tests.gateway.refusing import refusing
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, Script, ScriptedBackend, delta, obedient, sse
from tests.gateway.stored import spool_of, stored
from tests.patience import PATIENCE_S, until

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "low"}
BROKEN = '{"id":"c","choices":[{"index":0,"delta":{"content":"u'

# What the backend does; the status and code that the client sees in the error it raises.
PLAIN: dict[str, tuple[Script, int, str]] = {
    "reset before a byte": (says(), 502, "backend_error"),
    "closed before a byte": (says(then="close"), 502, "backend_error"),
    "reset inside the status line": (says(b"HTTP/1.1 20"), 502, "backend_error"),
    "no HTTP": (says(b"220 smtp.example.com ESMTP\r\n"), 502, "backend_error"),
    "headers without end": (says(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000), 502, "backend_error"),
    "silence before a byte": (says(then="hang"), 504, "backend_timeout"),
    "silence after the headers": (sized(HEAD, b"", 500, "hang"), 504, "backend_timeout"),
    "silence inside the body": (sized(HEAD, BODY[:99], len(BODY), "hang"), 504, "backend_timeout"),
    "half a body, then reset": (sized(HEAD, BODY[:99], len(BODY), "cut"), 502, "backend_error"),
    "a length that promises more": (sized(HEAD, BODY, len(BODY) + 9, "close"), 502, "backend_error"),
    "a length that promises less": (sized(HEAD, BODY, len(BODY) - 9, "keep"), 502, "backend_error"),
    "half a chunk": (says(HEAD + b"transfer-encoding: chunked\r\n\r\nfff\r\n" + BODY[:99]), 502, "backend_error"),
    "a chunk size that is none": (says(HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n"), 502, "backend_error"),
    "invalid JSON": (sized(HEAD, BODY[:-9], len(BODY) - 9, "keep"), 502, "backend_error"),
    "invalid UTF-8": (sized(HEAD, BODY.replace(b"four", b"\xff\xfe"), len(BODY) - 2, "keep"), 502, "backend_error"),
    "JSON that is no completion": (sized(HEAD, b'{"object": "list"}', 18, "keep"), 502, "backend_error"),
    "compressed, unasked": (
        sized(HEAD + b"content-encoding: gzip\r\n", b"\x1f\x8b\x08", 3, "keep"),
        502,
        "backend_error",
    ),
    "a redirect": (says(b"HTTP/1.1 302 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"), 502, ""),
    "50 MB in one line": (does.huge_line, 502, "backend_error"),
    "a drip without end": (does.drip, 504, "backend_timeout"),
    "a drip of headers": (does.drips_headers, 504, "backend_timeout"),
    "a refusal that drips": (does.drips_refusal, 504, "backend_timeout"),
    "a refusal in pieces": (does.refuses_in_pieces(503), 503, "slow_down"),
}
# The same for streams, before their first event.
BEFORE: dict[str, tuple[Script, int, str]] = {
    name: case
    for name, case in PLAIN.items()
    if name.startswith(("reset", "closed", "no HTTP", "silence", "a redirect", "50", "a refusal", "a drip of"))
} | {
    "a length that promises less": (sized(SSE_HEAD, FIRST + FIRST, len(FIRST) + 9, "keep"), 502, "backend_error"),
    "a stream of nothing": (streams(), 502, "stream_cut"),
    "nothing but an end mark": (streams(sse("[DONE]")), 502, "stream_cut"),
    "an error first": (streams(sse({"error": {**ERROR, "code": 503}})), 503, "503"),
    "broken from the first event": (streams(sse("{")), 502, "backend_error"),
    "silence after a comment's half": (streams(b": wait", then="hang"), 504, "backend_timeout"),
}
# And after it: the status is what is recorded.
AFTER: dict[str, tuple[Script, int, str]] = {
    "reset": (streams(FIRST, then="cut"), 502, "stream_cut"),
    "closed": (streams(FIRST, then="close"), 502, "stream_cut"),
    "half a chunk": (
        says(SSE_HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(FIRST) + FIRST + b"\r\nff\r\nda"),
        502,
        "stream_cut",
    ),
    "a length that promises more": (sized(SSE_HEAD, FIRST, 500, "close"), 502, "stream_cut"),
    "an end without a finish": (streams(FIRST), 502, "stream_cut"),
    "an end inside an event": (streams(FIRST, sse(delta("stop")), b'data: {"id"'), 502, "stream_cut"),
    "silence": (streams(FIRST, then="hang"), 504, "backend_timeout"),
    "silence inside an event": (streams(FIRST, b'data: {"id"', then="hang"), 504, "backend_timeout"),
    "a drip without end": (does.drip, 504, "backend_timeout"),
    "invalid JSON": (streams(FIRST, sse(BROKEN), sse(delta("stop")), sse("[DONE]")), 502, "backend_error"),
    "invalid UTF-8": (
        streams(FIRST, b'data: {"x":"\xff\xfe"}\n\n', sse(delta("stop")), sse("[DONE]")),
        502,
        "backend_error",
    ),
    "JSON that is no completion": (streams(FIRST, sse("[1]"), sse(delta("stop")), sse("[DONE]")), 502, "backend_error"),
    "an error inside": (streams(FIRST, sse({"error": ERROR}), sse("[DONE]")), 502, "slow_down"),
    "50 MB in one line": (streams(FIRST, *[b"x" * does.MIB] * 50), 502, "backend_error"),
}
# Odd, but whole: no fault for the client. True: streamed.
FINE: dict[str, tuple[Script, bool]] = {
    "chunks of one byte": (does.byte_by_byte, True),
    "no end mark": (streams(*TWICE[:2]), True),
    "an end mark without its empty line": (streams(*TWICE[:2], b"data: [DONE]\n"), True),
    "usage told twice": (streams(*TWICE), True),
    "an event after the end mark": (streams(*TWICE, FIRST), True),
    "a stream that ends with the connection": (says(SSE_HEAD + b"\r\n" + STREAM, then="close"), True),
    "an answer that ends with the connection": (says(HEAD + b"\r\n" + BODY, then="close"), False),
    "comments and line ends of the other kind": (streams(b": hi\r\n\r\n", STREAM.replace(b"\n", b"\r\n")), True),
}
STATUSES = (400, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504)
RAISED = {
    400: openai.BadRequestError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}


class Noted(Records):
    """Shows every record at once, as well as writing it."""

    def __init__(self, path: Path) -> None:
        super().__init__(SqliteDatabase(path), spool_of(path))
        self.seen: list[Record] = []

    def write(self, record: Record) -> None:
        self.seen.append(record)
        super().write(record)


# Models whose backend may be silent, take its time for all of an answer, and take as long for a refusal.
LIMITS = {
    "silent": {"read_timeout_s": 30, "total_timeout_s": 6000},
    "timed": {"read_timeout_s": 6000, "total_timeout_s": 60},
    "hurried": {"read_timeout_s": 6000, "total_timeout_s": 1.5},
}
# By the beginnings of names: the model that is asked, and how far its clock has to be turned.
LATE = {"silence": ("silent", 31.0), "a drip": ("timed", 61.0), "a refusal that": ("hurried", 1.6)}
SLOW = (*LATE, "50 MB")


@dataclass
class Suite:
    backend: ScriptedBackend
    gateway: RunningGateway
    records: Noted
    client: openai.OpenAI
    http: httpx.Client
    heard: threading.Event = field(default_factory=threading.Event)
    over: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def ask(self, script: Script, stream: bool, **fields: Any) -> str:
        """All of the text of an answer; what the SDK raises otherwise."""
        self.expect(script)
        answer = self.client.chat.completions.create(**ASK | fields, stream=stream)
        if not stream:
            return str(answer.choices[0].message.content)
        text = ""
        for chunk in answer:
            text += chunk.choices[0].delta.content or "" if chunk.choices else ""
            self.heard.set()
        return text

    def expect(self, script: Script) -> None:
        """One request, of which nothing has been heard."""
        self.backend.script = script
        self.records.seen.clear()
        self.heard.clear()

    def record(self) -> Record:
        (record,) = self.records.seen
        return record

    @contextmanager
    def late(self, name: str, script: Script, begun: bool) -> Iterator[tuple[Script, dict[str, Any]]]:
        """What plays the script while the gateway's clock runs ahead, and what to ask for, if its name says so.

        `begun`: only when something of the answer has been heard. Ends when the backend has been let go.
        """
        model, seconds = next((LATE[one] for one in LATE if name.startswith(one)), ("merged", 0.0))

        async def play(connection: Connection) -> None:
            try:
                await late(self.gateway, script, seconds, self.heard if begun else None)(connection)
            finally:
                self.over.release()

        if not seconds:
            yield script, {}
            return
        yield play, {"model": model}
        assert self.over.acquire(timeout=PATIENCE_S), "the backend is held"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """One gateway for all cases, so that what one leaves behind would spoil another, or show at the end."""
    with ScriptedBackend() as backend, refusing() as nowhere:
        settings = table(backend.url)
        settings["server"] = {"keepalive_s": 3600, "header_timeout_s": 3600}
        own = {"family": "qwen3", "verify": False}
        hybrid = settings["deployments"]["hybrid"]
        hybrid |= {"max_answer_bytes": does.MIB, "max_event_bytes": does.MIB}
        settings["deployments"] |= {name: hybrid | limits for name, limits in LIMITS.items()}
        settings["deployments"]["refusing"] = {"url": nowhere, **own}
        settings["deployments"]["nameless"] = {"url": "http://no-such-host.invalid/v1", **own, "connect_timeout_s": 60}
        settings["models"] |= {name: {"deployment": name} for name in ("refusing", "nameless", *LIMITS)}
        path = tmp_path_factory.mktemp("faults") / "records.db"
        records = Noted(path)
        parts = replace(make_parts(parse({"records": {"path": path}, **settings})), records=records)
        with RunningGateway.of(parts) as gateway, gateway.http() as http:
            suite = Suite(backend, gateway, records, gateway.sdk(http_client=http), http)
            suite.ask(obedient, stream=False)
            before = held(gateway)
            yield suite
            nothing_is_held(suite, before)


def nothing_is_held(suite: Suite, before: Held) -> None:
    assert suite.ask(obedient, stream=False) == "four"
    assert settled(suite.gateway, before) == before
    assert "thinkgate_in_flight 0.0" in suite.gateway.get("/metrics").text
    assert suite.records.lost == 0


def cases(table: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", table.keys())


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("status", STATUSES)
def test_a_refusal_comes_out_as_it_went_in(suite: Suite, status: int, stream: bool) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        suite.ask(does.refuses(status), stream)
    error = caught.value
    expected = RAISED.get(status, openai.InternalServerError if status >= 500 else openai.APIStatusError)
    assert type(error) is expected and error.status_code == status
    assert (error.type, error.param, error.code) == ("rate_limit_error", "messages", "slow_down")
    assert error.body == ERROR and "x-internal" not in error.response.headers
    kept = {name: error.response.headers.get(name) for name in ("retry-after", "retry-after-ms", "x-should-retry")}
    assert kept == {"retry-after": "7", "retry-after-ms": "7100", "x-should-retry": "false"}
    assert error.response.headers["x-upstream-request-id"] == "the backend's own"
    record = suite.record()
    assert record.request_id == error.request_id
    assert (record.status, record.error_type, record.error_code) == (status, "rate_limit_error", "slow_down")


def fails(suite: Suite, stream: bool, case: tuple[Script, int, str], **fields: Any) -> None:
    script, status, code = case
    with pytest.raises(openai.InternalServerError) as caught:
        suite.ask(script, stream, **fields)
    error, record = caught.value, suite.record()
    assert (error.status_code, error.code or "") == (status, code)
    assert error.request_id == record.request_id and error.response.headers["x-thinkgate-effort"] == "low"
    assert (record.status, record.error_code or "", record.client_gone) == (status, code, False)


@cases(PLAIN)
def test_a_plain_answer_that_fails(suite: Suite, name: str) -> None:
    script, status, code = PLAIN[name]
    with suite.late(name, script, begun=False) as (played, fields):
        fails(suite, False, (played, status, code), **fields)


@cases(BEFORE)
def test_a_stream_that_fails_before_its_first_event(suite: Suite, name: str) -> None:
    script, status, code = BEFORE[name]
    with suite.late(name, script, begun=False) as (played, fields):
        fails(suite, True, (played, status, code), **fields)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("model", ["refusing", "nameless"])
def test_a_backend_that_cannot_be_reached(suite: Suite, model: str, stream: bool) -> None:
    fails(suite, stream, (obedient, 502, "backend_unreachable"), model=model)


@cases(AFTER)
def test_a_stream_that_fails_later_tells_so_in_it(suite: Suite, name: str) -> None:
    script, status, code = AFTER[name]
    with suite.late(name, script, begun=True) as (played, fields), pytest.raises(openai.APIError) as caught:
        suite.ask(played, stream=True, **fields)
    assert not isinstance(caught.value, openai.APIStatusError | openai.APIConnectionError), "its status was 200"
    assert caught.value.code == code
    record = suite.record()
    assert (record.status, record.error_code, record.client_gone) == (status, code, False)
    raw = ""
    with suite.late(name, script, begun=True) as (played, fields):
        suite.expect(played)
        with suite.http.stream("POST", "/v1/chat/completions", json={**ASK, "stream": True, **fields}) as answer:
            for piece in answer.iter_text():
                raw += piece
                suite.heard.set()
    assert "fo" in raw or "x" in raw
    assert raw.rstrip().rsplit("\n\n", 1)[-1].startswith('data: {"error":') and "[DONE]" not in raw


@cases(FINE)
def test_what_is_odd_but_whole_is_no_fault(suite: Suite, name: str) -> None:
    script, stream = FINE[name]
    assert suite.ask(script, stream) == "four"
    record = suite.record()
    assert (record.status, record.finish_reason, record.error_code) == (200, "stop", None)


def test_words_that_nobody_asked_for_reach_nobody(suite: Suite) -> None:
    """A second answer to one request must not become the answer to the next, which may be another client's."""
    second = sized(HEAD, BODY.replace(b"four", b"LEAK"), len(BODY), "keep")

    async def twice(connection: Connection) -> None:
        await obedient(connection)
        await second(connection)

    for _ in range(5):
        assert suite.ask(twice, stream=False) == "four"
        # It has come by the time that the connection is wanted again.
        until(lambda: suite.gateway.inside(lambda: spoilt(suite.gateway)))
    assert suite.ask(obedient, stream=False) == "four"


@pytest.mark.parametrize("times", [4, pytest.param(20, marks=pytest.mark.long)])
def test_faults_in_every_order_and_nothing_is_held(suite: Suite, times: int) -> None:
    """Each of them several times, with whole answers in between."""
    suite.ask(obedient, stream=False)
    before = held(suite.gateway)
    dice = random.Random(7)
    quick = [case for table in (PLAIN, BEFORE, AFTER) for name, case in table.items() if not name.startswith(SLOW)]
    faults = [script for script, *_ in (*quick, *FINE.values())] + [does.refuses(status) for status in STATUSES]
    scripts = [*faults, *[obedient] * (len(faults) // 2)] * times
    dice.shuffle(scripts)
    seen, ids = set(), set()
    for script in scripts:
        suite.expect(script)
        answer = suite.http.post("/v1/chat/completions", json={**ASK, "stream": dice.random() < 0.5})
        record = suite.record()
        assert answer.headers["x-request-id"] == record.request_id
        assert answer.status_code == record.status or (answer.status_code == 200 and '"error"' in answer.text)
        seen.add(record.status)
        ids.add(record.id)
    assert {200, *STATUSES} <= seen and len(ids) == len(scripts)
    nothing_is_held(suite, before)
    until(lambda: ids <= written(suite.gateway.database))


def written(path: Path) -> set[str]:
    """The ids of the records."""
    return {id for (id,) in stored(path, "id")}
