"""What clients are told of a backend's errors: its own words, but nothing of the gateway's key, and no broken head."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.asgi import SAFE_HEADERS_ENCODED, _encoded
from gateway.backends.sign_in import EVERY_S, SignIn
from gateway.core.header_value import LONGEST, safe
from tests.gateway.conftest import Start, table
from tests.gateway.scripted import Connection, Script, ScriptedBackend

SECRET = "sk-of-the-operator"
DIALECTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]},
    "/v1/responses": {"input": "Hi"},
    "/v1/messages": {"max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/completions": {"prompt": "Hi"},
    "/v1/embeddings": {"input": "Hi"},
}


@pytest.fixture
def spare() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as running:
        yield running


def refuses(status: int, **fields: Any) -> Script:
    error = {"message": f"Incorrect API key provided: {SECRET}", "type": "t", "param": None, "code": None, **fields}

    async def script(connection: Connection) -> None:
        if connection.request.path.endswith("/tokenize"):
            await connection.answer(401, json.dumps({"error": error}).encode())
        else:
            await connection.answer(
                status, json.dumps({"error": error}).encode(), {"www-authenticate": f"Bearer {SECRET}"}
            )

    return script


def streams(error: dict[str, Any]) -> Script:
    async def script(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.event({"error": error})
        await connection.end_stream()

    return script


def keyed(url: str, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> dict[str, Any]:
    monkeypatch.setenv("THE_BACKENDS_KEY", SECRET)
    chosen = table(url)
    chosen["deployments"]["hybrid"] |= {"api_key_env": "THE_BACKENDS_KEY", **fields}
    return chosen


def test_a_dead_key_is_the_operators_business(
    start: Start, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = start(keyed(backend.url, monkeypatch))
    scripts = [refuses(status) for status in (401, 403, 407)]
    scripts += [refuses(400, code="invalid_api_key"), refuses(500, type="authentication_error")]
    with caplog.at_level(logging.ERROR, "thinkgate"):
        for backend.script in scripts:
            for path, body in DIALECTS.items():
                answer = gateway.post({"model": "merged", **body}, path)
                error = answer.json()["error"]
                assert (answer.status_code, error["code"]) == (502, "upstream_authentication_failed"), (path, error)
                assert SECRET not in answer.text and SECRET not in str(answer.headers)
        count = {"model": "merged", **DIALECTS["/v1/messages"]}
        answer = gateway.post(count, "/v1/messages/count_tokens")
        assert (answer.status_code, answer.headers["x-thinkgate-count"]) == (200, "estimate")
    lines = [record.message for record in caplog.records if "rejected the gateway's key" in record.message]
    assert len(lines) == 1 and "deployment hybrid" in lines[0] and SECRET not in caplog.text
    assert 'thinkgate_upstream_sign_in_refused_total{deployment="hybrid"} 26.0' in gateway.get("/metrics").text


def test_it_is_no_clients_business_in_a_stream_either(start: Start, backend: ScriptedBackend) -> None:
    gateway = start(table(backend.url))
    for code in (401, "invalid_api_key"):
        backend.script = streams({"message": f"no such key: {SECRET}", "code": code})
        for path in list(DIALECTS)[:3]:
            answer = gateway.post({"model": "merged", "stream": True, **DIALECTS[path]}, path)
            assert "upstream_authentication_failed" in answer.text and SECRET not in answer.text


def test_another_deployment_stands_in_for_one_whose_key_is_dead(
    start: Start, backend: ScriptedBackend, spare: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = keyed(backend.url, monkeypatch, fallback=["spare"])
    chosen["deployments"]["hybrid"]["url"] = [backend.url, f"{backend.url}/"]
    chosen["deployments"]["spare"] = {"url": spare.url, "model": "backend-model", "family": "qwen3"}
    backend.script = refuses(401)
    answer = start(chosen).post({"model": "merged", **DIALECTS["/v1/chat/completions"]})
    assert answer.status_code == 200 and "(upstream_authentication_failed)" in answer.headers["x-thinkgate-note"]
    assert len(backend.requests) == 1, "its other replicas have the same key"


def test_other_errors_are_told_as_they_are_but_for_the_key(
    start: Start, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = start(keyed(backend.url, monkeypatch))
    backend.script = refuses(400, more={"a": SECRET})
    error = gateway.post({"model": "merged", **DIALECTS["/v1/chat/completions"]}).json()["error"]
    assert error["message"] == "Incorrect API key provided: [the gateway's key]"
    assert (error["type"], error["more"]) == ("t", {"a": "[the gateway's key]"})


def test_controls_in_a_backends_error_lose_no_answer(
    start: Start, backend: ScriptedBackend, spare: ScriptedBackend
) -> None:
    chosen = table(backend.url)
    chosen["deployments"]["hybrid"]["fallback"] = ["spare"]
    chosen["deployments"]["spare"] = {"url": spare.url, "model": "backend-model", "family": "qwen3"}
    gateway = start(chosen)
    backend.script = refuses(503, code="a\r\nset-cookie: b=c\x00\u2028ü" + "x" * 5000, type="\n\n")
    notes = []
    for path in list(DIALECTS)[:3]:
        for stream in (False, True):
            answer = gateway.post({"model": "merged", "stream": stream, **DIALECTS[path]}, path)
            assert answer.status_code == 200 and "set-cookie" not in answer.headers
            notes.append(answer.headers["x-thinkgate-note"])
    assert notes[0].startswith("deployment hybrid could not answer (a??set-cookie: b=c???xxx")


@given(st.dictionaries(st.sampled_from(("x-thinkgate-note", "x-thinkgate-arm", "x-request-id")), st.text()))
def test_no_text_breaks_a_head(headers: dict[str, str]) -> None:
    encoded = _encoded(headers)
    assert encoded[len(headers) :] == SAFE_HEADERS_ENCODED
    for (_, value), text in zip(encoded, headers.values(), strict=False):
        assert all(0x20 <= byte < 0x7F for byte in value) and len(value) <= LONGEST
        assert safe(text).encode() == value
        if text.isascii() and text.isprintable():
            assert value == text.encode()


def test_a_refused_key_is_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now, counted = [0.0], list[str]()
    sign_in = SignIn(counted.append, lambda: now[0])
    with caplog.at_level(logging.ERROR, "thinkgate"):
        for now[0] in (0.0, 1.0, EVERY_S - 1, EVERY_S, EVERY_S + 1):
            sign_in.refused("a", "http://a/v1")
        sign_in.refused("b", "http://b/v1")
    assert len(caplog.records) == 3 and counted == ["a"] * 5 + ["b"]
