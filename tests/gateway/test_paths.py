"""Tricks with paths and methods: each is told that there is no such thing, and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.conftest import table
from tests.gateway.running import ServedGateway
from tests.gateway.scripted import ScriptedBackend

NOT_FOUND = [
    "POST //v1/chat/completions",
    "POST /v1//chat/completions",
    "POST /v1/../v1/chat/completions",
    "POST /v1/%2e%2e/v1/chat/completions",
    "POST /v1/chat/completions/",
    "POST /v1/chat/completions%00",
    "POST /v1/chat/completions;x=1",
    "POST /V1/CHAT/COMPLETIONS",
    "POST /v1/chat/%63ompletions%2f",
    "GET /health/../metrics",
    "GET /metrics/",
    "GET /%2fmetrics",
    "GET /%ff%fe",
    "GET /v1/models/%0d%0aset-cookie:%20a=b",
    "GET /" + "a" * 30_000,
    "GET /keys",
    "GET /v1/../keys",
    "GET /admin",
    "GET /docs",
    "GET /redoc",
    "GET /.env",
    "GET http://elsewhere.example/nowhere",
    "OPTIONS *",
]
WRONG_METHOD = [
    ("GET /v1/chat/completions", "POST"),
    ("HEAD /v1/chat/completions", "POST"),
    ("OPTIONS /v1/chat/completions", "POST"),
    ("TRACE /v1/chat/completions", "POST"),
    ("POST /v1/models", "GET"),
    ("HEAD /v1/models", "GET"),
    ("DELETE /v1/models/merged", "GET"),
    ("PUT /health", "GET"),
    ("POST /ready", "GET"),
    ("TRACE /metrics", "GET"),
]
NO_HTTP = [
    "CONNECT elsewhere.example:443",
    "GET /v1/models\x00",
    "GET /v1/models\xff",
    "GET \\v1\\models",
    "GET",
    "FOO /health",
]
NO_MODEL = ["../../etc/passwd", "%2e%2e%2fkeys", "%00", "merged/", "a" * 20_000]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    folder: Path = tmp_path_factory.mktemp("paths")
    with ScriptedBackend() as backend, ServedGateway(table(backend.url), folder) as running:
        yield running
        assert backend.requests == []


def ask(gateway: ServedGateway, line: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer to a request line as it stands."""
    request = f"{line} HTTP/1.1\r\nhost: elsewhere.example\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(request.encode("latin-1"))
        parts = iter(lambda: connection.recv(65_536), b"")
        head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), dict(each.lower().split(": ", 1) for each in lines), body


def check(status: int, headers: dict[str, str], body: bytes, code: str) -> None:
    assert len(body) < 1000 and f'"code":"{code}"'.encode() in body and b'"type":"invalid_request_error"' in body
    check_headers(headers)


def check_headers(headers: dict[str, str]) -> None:
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
    assert not {"server", "location", "set-cookie", "access-control-allow-origin", "x-powered-by"} & set(headers)


@pytest.mark.parametrize("line", NOT_FOUND)
def test_there_is_no_such_path(gateway: ServedGateway, line: str) -> None:
    status, headers, body = ask(gateway, line)
    assert status == 404
    check(status, headers, body, "not_found")


@pytest.mark.parametrize(("line", "allowed"), WRONG_METHOD)
def test_the_right_method_is_named(gateway: ServedGateway, line: str, allowed: str) -> None:
    status, headers, body = ask(gateway, line)
    assert (status, headers["allow"]) == (405, allowed.lower())
    if line.startswith("HEAD"):
        assert body == b""
    else:
        check(status, headers, body, "method_not_allowed")


@pytest.mark.parametrize("line", NO_HTTP)
def test_what_is_no_request(gateway: ServedGateway, line: str) -> None:
    status, headers, body = ask(gateway, line)
    assert status == 400
    check(status, headers, body, "invalid_http")


@pytest.mark.parametrize("name", NO_MODEL)
def test_there_is_no_such_model(gateway: ServedGateway, name: str) -> None:
    status, headers, body = ask(gateway, f"GET /v1/models/{name}")
    assert status == 404
    check(status, headers, body, "model_not_found")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/merged", "/health", "/ready", "/metrics", "/openapi.json"])
def test_what_there_is_has_the_safe_headers_too(gateway: ServedGateway, path: str) -> None:
    status, headers, _ = ask(gateway, f"GET {path}")
    assert status == 200
    check_headers(headers)
