"""No key, prompt, thought or answer in logs, metrics or files, whatever goes wrong and however much is logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import plain_http
from tests.gateway.processes import Process
from tests.gateway.scripted import ANSWER, MODEL, Connection, ScriptedBackend, delta, obedient, sse
from tests.gateway.test_operators import CONFIG, keys

OPERATOR = "MARK-operator-0123456789"
LOUD = "import logging; logging.basicConfig(level=logging.DEBUG); from gateway.cli import main; main()"
MESSAGES = [
    {"role": "system", "content": "MARK-system"},
    {"role": "user", "content": [{"type": "text", "text": "MARK-prompt"}]},
    {"role": "assistant", "content": None, "reasoning": "MARK-history"},
]
ASK: dict[str, Any] = {
    "model": "pub",
    "messages": MESSAGES,
    "reasoning_effort": "low",
    "user": "MARK-user",
    "metadata": {"conversation_id": "MARK-conversation"},
    "tools": [{"type": "function", "function": {"name": "MARK-tool"}}],
}
# The same as a response that is not to be kept, and what is wrong with it.
RESPONSE: dict[str, Any] = {
    "model": "pub",
    "store": False,
    "instructions": "MARK-system",
    "input": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "MARK-history"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "MARK-prompt"}]},
    ],
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "tools": [{"type": "function", "name": "MARK-tool"}],
    "metadata": {"conversation_id": "MARK-conversation"},
}
BAD_RESPONSES: list[dict[str, Any]] = [
    {"previous_response_id": "MARK-previous"},
    {"input": [{"type": "function_call_output", "call_id": "MARK-call", "output": "MARK-output"}]},
    {"input": [{"type": "reasoning", "id": "MARK-id", "summary": [], "encrypted_content": "MARK-sealed"}]},
    {"tools": [{"type": "MARK-kind"}]},
]
WHOLE = json.dumps(
    {**ANSWER, "choices": [{"message": {"content": "MARK-answer", "reasoning": "MARK-thought"}}]}
).encode()


async def answers(connection: Connection) -> None:
    if connection.request.path.endswith("/models"):
        await obedient(connection)
    else:
        await connection.answer(200, WHOLE)


async def streams(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(delta(reasoning="MARK-thought"))
    await connection.event(delta("stop", content="MARK-answer"))
    await connection.event("[DONE]")
    await connection.end_stream()


async def breaks_off(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(delta(reasoning="MARK-thought"))
    await connection.chunk(b'data: {"choices": [{"delta": {"content": "MARK-half')
    connection.cut()


async def garbles(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(delta(reasoning="MARK-thought"))
    await connection.chunk(sse('{"usage": {, "finish_reason": "MARK-garbled \xff'))
    await connection.end_stream()


async def no_json(connection: Connection) -> None:
    await connection.answer(200, b"MARK-answer is no JSON \xff")


def refuses(status: int) -> Any:
    async def script(connection: Connection) -> None:
        words = {
            "message": "MARK-prompt is what you said",
            "type": "x",
            "param": None,
            "code": "y",
            "trace": "MARK-trace",
        }
        await connection.answer(status, json.dumps({"error": words}).encode())

    return script


async def fails_in_stream(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(delta(reasoning="MARK-thought"))
    await connection.event({"error": {"message": "MARK-prompt made me fail", "code": 500}})
    await connection.end_stream()


BAD_BODIES = [
    b'{"model": "pub", "messages": "MARK-prompt"}',
    b'{"model": "pub", "messages": [{"role": "user", "content": "MARK-prompt',
    b'{"model": "pub", "messages": [{"role": "MARK-role", "content": 7}], "stream": "MARK-stream"}',
    b'{"model": "pub", "a": "MARK-one", "a": "MARK-two"}',
    b"MARK-\xff",
]


def test_nothing_that_was_said_is_logged_counted_or_kept(
    backend: ScriptedBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THINKGATE_TEST_OPERATORS_KEY", OPERATOR)
    (tmp_path / "backend-key").write_text("MARK-backend-key\n", "utf-8")
    config = tmp_path / "thinkgate.toml"
    text = CONFIG.format(url=backend.url, model=MODEL).replace("family =", 'api_key_file = "backend-key", family =')
    config.write_text(text, "utf-8")
    secret = keys(config, "create", "Ann")["secret"]
    headers = {"authorization": f"Bearer {secret}", "cookie": "MARK-cookie", "x-forwarded-for": "MARK-address"}
    with Process("--config", config, "--port", "0", cwd=tmp_path, program=("-c", LOUD)) as gateway:
        url = gateway.url() + "/v1/chat/completions"
        responses = url.replace("chat/completions", "responses")
        with plain_http.client(headers=headers) as client:
            for script in (
                answers,
                streams,
                breaks_off,
                garbles,
                no_json,
                fails_in_stream,
                *map(refuses, (400, 429, 500)),
            ):
                backend.script = script
                stream = {"stream": script not in (answers, no_json)}
                client.post(url, json={**ASK, **stream})
                client.post(responses, json={**RESPONSE, **stream})
            for body in BAD_BODIES:
                assert client.post(url, content=body).status_code == 400
            for fields in BAD_RESPONSES:
                assert client.post(responses, json={**RESPONSE, **fields}).status_code == 400
            client.post(url, json={**ASK, "reasoning_effort": "MARK-effort"})
            client.post(url + "/MARK-path?MARK-query", json=ASK)
        for wrong in ("MARK-wrong-key", secret[:-1] + "-", secret[:40]):
            assert plain_http.post(url, json=ASK, headers={"authorization": f"Bearer {wrong}"}).status_code == 401
        assert backend.requests[0].headers["authorization"] == "Bearer MARK-backend-key"
        operator = {"authorization": f"Bearer {OPERATOR}"}
        told = plain_http.get(gateway.operators + "/metrics", headers=operator).text
        told += plain_http.get(gateway.operators + "/keys", headers=operator).text
        assert gateway.stop() == 0
        said = gateway.output() + gateway.errors()
    # It was loud, and it was asked.
    assert "DEBUG" in said and "thinkgate_latency_seconds_count" in told
    for name, seen in (("logs", said), ("metrics", told)):
        assert "MARK" not in seen and secret[20:] not in seen, name
    ours = ("backend-key", gateway.errors_file.name)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ours]
    assert len(kept) >= 4
    for path in kept:
        content = path.read_bytes()
        assert b"MARK" not in content and secret[20:].encode() not in content, path
