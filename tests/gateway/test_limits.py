"""What a stranger may send: how large, how many, how slowly. Refused in OpenAI's shape, in constant memory."""

from __future__ import annotations

import json
import select
import socket
from pathlib import Path
from typing import Any

import jiter
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import json_object
from gateway.config.server import ServerSettings
from gateway.core.errors import InvalidRequest
from tests import plain_http
from tests.gateway.bounded import FEW, QUICK
from tests.gateway.conftest import Start, table
from tests.gateway.processes import Process
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend
from tests.patience import PATIENCE_S, until

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "hi"}]}
LINE = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
MIB = 1024 * 1024
# How long a gateway of these tests waits; its clock is turned.
LIMIT_S = 60


class Raw:
    """A connection on which a test writes what it likes."""

    def __init__(self, url: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=PATIENCE_S)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def pour(self, piece: bytes, times: int) -> int:
        """Send until the other side has had enough; returns how many bytes went."""
        sent = 0
        try:
            for _ in range(times):
                self._socket.sendall(piece)
                sent += len(piece)
        except ConnectionError:
            pass
        return sent

    def receive(self, outlasted: RunningGateway | None = None) -> bytes:
        """What comes next. With a gateway: while its clock runs ahead, and nothing more is said."""
        if outlasted is not None:
            until(lambda: select.select([self._socket], [], [], 0.05)[0] or outlasted.turn(LIMIT_S + 1))
        return self._socket.recv(65_536)

    def status(self) -> int:
        """Of the first answer."""
        return int(self._socket.recv(65_536).split(b" ")[1])

    def answer(self, outlasted: RunningGateway | None = None) -> tuple[int, dict[str, Any]]:
        """Status and error of an answer after which the gateway closes the connection."""
        data = b""
        while piece := self.receive(outlasted):
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), json.loads(body)["error"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        (b"x-large: " + b"y" * 40_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"x-endless: " + b"y" * 40_000, 431, "headers_too_large"),
        (b"x-a: b\r\n" * 120 + b"\r\n", 431, "headers_too_large"),
        (b"x-a: b\r\n" * 120, None, None),
        (b"no header\r\n\r\n", 400, "invalid_http"),
        (b"content-length: -1\r\n\r\n", 400, "invalid_http"),
        (b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400, "invalid_http"),
    ],
)
def test_heads_beyond_the_limits(
    backend: ScriptedBackend, serve: Start, headers: bytes, status: int | None, code: str | None
) -> None:
    gateway = serve({**table(backend.url), "server": {"header_timeout_s": LIMIT_S}})
    with Raw(gateway.url) as raw:
        raw.send(LINE + headers)
        told, error = raw.answer(gateway if status is None else None)
    assert (told, error["code"]) == ((status, code) if status else (408, "request_timeout"))
    assert error["type"] == "invalid_request_error" and "yyy" not in error["message"]
    assert gateway.post(ASK).status_code == 200
    assert len(backend.requests) == 1


def test_trailers_without_end_are_no_body(served_gateway: RunningGateway) -> None:
    with Raw(served_gateway.url) as raw:
        raw.send(LINE + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
        raw.send(b"x-more: and more\r\n" * 5_000)
        assert raw.answer()[1]["code"] == "headers_too_large"
    body = json.dumps({**ASK, "messages": [{"role": "user", "content": "x" * 30_000}]}).encode()
    with Raw(served_gateway.url) as raw:
        raw.send(LINE + b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n")
        raw.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\nx-trailer: y\r\n\r\n")
        assert raw.status() == 200


def test_a_line_of_the_request_is_limited_too(served_gateway: RunningGateway) -> None:
    with Raw(served_gateway.url) as raw:
        raw.send(b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n")
        assert raw.answer()[0] == 431
    with Raw(served_gateway.url) as raw:
        raw.send(b"\x16\x03\x01\x02\x00 this is TLS")
        assert raw.answer()[1]["code"] == "invalid_http"


def test_heads_within_the_limits_pass_in_any_pieces(served_gateway: RunningGateway) -> None:
    body = json.dumps(ASK).encode()
    request = LINE + b"x-a: " + b"b" * 20_000 + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with Raw(served_gateway.url) as raw:
        for number in range(4):
            for at in range(0, len(request), 7_000 + number):
                raw.send(request[at : at + 7_000 + number])
        data = b""
        while data.count(b"HTTP/1.1 200 OK") < 4:
            data += raw._socket.recv(65_536)


def test_a_connection_that_asks_nothing_is_closed(backend: ScriptedBackend, serve: Start) -> None:
    gateway = serve({**table(backend.url), "server": {"header_timeout_s": LIMIT_S, "keepalive_s": LIMIT_S}})
    with Raw(gateway.url) as raw:
        assert raw.receive(gateway) == b""
    with Raw(gateway.url) as raw:
        raw.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200 OK" in raw.receive()
        while raw.receive(gateway):
            pass


def test_a_body_that_never_comes_is_not_waited_for(backend: ScriptedBackend, serve: Start) -> None:
    gateway = serve({**table(backend.url), "server": {"body_timeout_s": LIMIT_S}})
    for begun in (b"", b'{"model": "merg'):
        with Raw(gateway.url) as raw:
            raw.send(LINE + b"content-length: 500\r\n\r\n" + begun)
            assert raw.answer(gateway)[0] == 408
    rows = gateway.records()
    assert [(row["status"], row["error_code"]) for row in rows] == [(408, "request_timeout")] * 2
    assert backend.requests == []


def test_a_body_too_large_is_told_while_it_is_still_sent(backend: ScriptedBackend, serve: Start) -> None:
    gateway = serve({**table(backend.url), "server": {"max_body_bytes": 10_000}})
    with Raw(gateway.url) as raw:
        raw.send(LINE + b"transfer-encoding: chunked\r\n\r\n")
        raw.pour(b"%x\r\n%s\r\n" % (8_000, b"x" * 8_000), 4)
        assert raw.answer()[0] == 413
    with plain_http.client(base_url=gateway.url) as client:
        large = {**ASK, "messages": [{"role": "user", "content": "x" * 300_000}]}
        for _ in range(3):
            assert client.post("/v1/chat/completions", json=large).status_code == 413
            assert client.post("/v1/chat/completions", json=ASK).status_code == 200


# In MiB: far more than a process may take for it.
ENDLESS = 200


def memory(pid: int, field: str) -> int:
    """Of a process, in bytes: `VmRSS` what it has now, `VmHWM` the most that it has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def endless(url: str) -> None:
    """What has no end, in heads, bodies and trailers, and bodies of nothing but values. All of it is refused."""
    for beginning in (b"x-endless: ", b"content-length: 1000000000\r\n\r\n", b"x-many: many\r\n" * 2_000):
        with Raw(url) as raw:
            raw.send(LINE + beginning)
            raw.pour(b"y" * MIB, ENDLESS)
    with Raw(url) as raw:
        raw.send(LINE + b"transfer-encoding: chunked\r\n\r\n")
        raw.pour(b"100000\r\n" + b"y" * MIB + b"\r\n", ENDLESS)
    for trailer in (b"y" * MIB, b"x-many: many\r\n" * 80_000):
        with Raw(url) as raw:
            raw.send(LINE + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-endless: ")
            raw.pour(trailer, ENDLESS)
    for values in (b"[],", b"{},", b'{"a":1},', b"1.5,", b'"",'):
        body = b'{"a":[' + values * (LARGE // len(values)) + b"1]}"
        assert plain_http.post(f"{url}/v1/chat/completions", content=body).status_code == 400


# Bytes of a body that is within the limits, but for the number of its values.
LARGE = 8 * MIB


def test_endless_heads_and_bodies_cost_no_memory(backend: ScriptedBackend, tmp_path: Path) -> None:
    config = tmp_path / "thinkgate.toml"
    config.write_text(
        f'deployments.dep = {{ url = "{backend.url}", family = "qwen3", verify = false }}\n'
        'models.merged = { deployment = "dep" }\n',
        "utf-8",
    )
    with Process("--config", config, "--port", "0", cwd=tmp_path) as gateway:
        url, pid = gateway.url(), gateway.popen.pid
        plain_http.post(f"{url}/v1/chat/completions", json=ASK).raise_for_status()
        before = memory(pid, "VmRSS")
        endless(url)
        # One body as large as it may be, and half of another one that may begin before its connection has ended.
        largest = ServerSettings().max_body_bytes
        assert memory(pid, "VmHWM") - before < 1.5 * largest, "no more than the largest body"
        once = memory(pid, "VmRSS")
        for _ in range(2):
            endless(url)
        # Were the largest one kept only until the garbage collector comes, it would be four times this.
        assert memory(pid, "VmRSS") - once < largest / 4, "what has been refused is gone"
        plain_http.post(f"{url}/v1/chat/completions", json=ASK).raise_for_status()
        assert gateway.stop() == 0


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # A surrogate is no character of its own, and no JSON of UTF-8 holds one.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


def test_what_is_written_in_texts_is_no_value() -> None:
    for text in ("1,2,3," * 500, "[{" * 500, '",' * 500, "\\" * 500 + ","):
        assert json_object.read(orjson.dumps({"a": text}), 8, 100) == {"a": text}
        with pytest.raises(InvalidRequest, match="more than 100 values"):
            json_object.read(orjson.dumps({"a": [text] * 101}), 8, 100)


@FEW
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON), st.sampled_from([None, 1]))
def test_every_sane_body_is_read_as_it_was_meant(body: dict[str, Any], indent: int | None) -> None:
    for ascii_only in (True, False):
        raw = json.dumps(body, indent=indent, ensure_ascii=ascii_only).encode()
        assert json_object.read(raw, 200, 100_000) == body
        assert jiter.from_json(raw) == orjson.loads(raw)


@QUICK
@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0d8 e9+-.tfn', max_size=60).map(str.encode))
def test_any_bytes_are_an_object_or_an_error_of_the_client(raw: bytes) -> None:
    try:
        body = json_object.read(raw, 8, 100)
    except InvalidRequest as error:
        assert error.status == 400
    else:
        assert json.loads(raw) == body
