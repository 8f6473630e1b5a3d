"""No client and no backend makes the gateway ask anybody whom the configuration does not name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, ScriptedBackend

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "low"}
SECRET = "a backend's key"
# All headers that a backend may get.
PASSED_ON = {"host", "authorization", "x-request-id", "traceparent", "tracestate", "content-type", "content-length"} | {
    "accept",
    "accept-encoding",
    "user-agent",
}


@pytest.fixture
def trap() -> Iterator[ScriptedBackend]:
    """Somebody else, whom nobody may ask; `hang_ups` counts everyone who connected."""
    with ScriptedBackend() as running:
        yield running
        assert not running.hang_ups.acquire(blocking=False) and running.requests == []


@pytest.fixture
def gateway(backend: ScriptedBackend, start: Start, monkeypatch: pytest.MonkeyPatch) -> RunningGateway:
    monkeypatch.setenv("THINKGATE_TEST_BACKEND_KEY", SECRET)
    settings = table(backend.url)
    settings["deployments"]["hybrid"]["api_key_env"] = "THINKGATE_TEST_BACKEND_KEY"
    return start(settings)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("stream", [False, True])
def test_redirects_are_not_followed(
    gateway: RunningGateway, backend: ScriptedBackend, trap: ScriptedBackend, status: int, stream: bool
) -> None:
    async def elsewhere(connection: Connection) -> None:
        headers = {"location": f"{trap.url}/chat/completions", "set-cookie": "a=b"}
        await connection.answer(status, b'{"error": {"message": "go there"}}', headers)

    backend.script = elsewhere
    answer = gateway.post({**ASK, "stream": stream})
    assert answer.status_code == 502 and "location" not in answer.headers and "set-cookie" not in answer.headers
    assert gateway.get("/ready").status_code == 503


def test_proxies_of_the_environment_are_not_used(
    backend: ScriptedBackend, trap: ScriptedBackend, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, trap.url.removesuffix("/v1"))
        monkeypatch.setenv(name.lower(), trap.url.removesuffix("/v1"))
    gateway = start(table(backend.url))
    with gateway.http(trust_env=False) as client:
        assert client.post("/v1/chat/completions", json=ASK).status_code == 200
        assert client.get("/ready").status_code == 200


def test_no_field_of_a_body_names_a_backend(
    gateway: RunningGateway, backend: ScriptedBackend, trap: ScriptedBackend
) -> None:
    names = ("url", "base_url", "api_base", "endpoint", "host", "proxy", "deployment", "api_key", "custom_llm_provider")
    for name in names:
        answer = gateway.post({**ASK, name: trap.url, "metadata": {name: trap.url}})
        assert answer.status_code == 200
        assert gateway.post({**ASK, "model": "merged", "thinkgate": {name: trap.url}}).status_code == 400
    for model in (trap.url, f"{trap.url}/merged", "merged@" + trap.url, "../merged", "hybrid", "merged\n"):
        assert gateway.post({**ASK, "model": model}).status_code == 404
    assert {request.path for request in backend.requests} == {"/v1/chat/completions"}


def test_no_header_of_a_client_names_a_backend_or_reaches_it(
    gateway: RunningGateway, backend: ScriptedBackend, trap: ScriptedBackend
) -> None:
    host = trap.url.removeprefix("http://").removesuffix("/v1")
    sent = {
        "host": host,
        "x-forwarded-host": host,
        "x-forwarded-for": "127.0.0.1",
        "forwarded": f"host={host}",
        "x-original-url": "/keys",
        "x-rewrite-url": f"{trap.url}/x",
        "x-http-method-override": "GET",
        "x-portkey-custom-host": trap.url,
        "openai-organization": "mine",
        "authorization": "Bearer the client's",
        "proxy-authorization": "Basic abc",
        "cookie": "session=1",
        "x-api-key": "the client's",
        "connection": "x-request-id",
        "expect": "100-continue",
    }
    assert gateway.post(ASK, headers=sent).status_code == 200
    got = backend.requests[-1].headers
    assert got["host"] == backend.url.removeprefix("http://").removesuffix("/v1")
    assert got["authorization"] == f"Bearer {SECRET}"
    assert set(got) <= PASSED_ON
    assert "the client's" not in str(got)


def test_a_cookie_of_a_backend_is_neither_kept_nor_passed_on(gateway: RunningGateway, backend: ScriptedBackend) -> None:
    async def baker(connection: Connection) -> None:
        await connection.answer(400, b'{"error": {"message": "no"}}', {"set-cookie": "a=b"})

    backend.script = baker
    for _ in range(2):
        assert "set-cookie" not in gateway.post(ASK).headers
    assert "cookie" not in backend.requests[-1].headers
