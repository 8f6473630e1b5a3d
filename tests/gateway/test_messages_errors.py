"""Errors and headers in Anthropic's shape: at the door, from the backend, of a key's limits, and on routes around."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anthropic
import pytest

from gateway.api.messages import errors
from gateway.core.backend_errors import BackendRefused
from gateway.core.errors import InternalError
from tests.gateway.anthropics import ASK, COUNT, MESSAGES, ask
from tests.gateway.conftest import table
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, ScriptedBackend
from tests.patience import PATIENCE_S

VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture
def keyed(backend: ScriptedBackend, tmp_path: Path) -> Iterator[KeyedGateway]:
    with KeyedGateway(table(backend.url), tmp_path, Clock()) as running:
        yield running


@pytest.mark.parametrize(
    ("status", "kind", "raised"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (402, "billing_error", anthropic.APIStatusError),
        (404, "not_found_error", anthropic.NotFoundError),
        (409, "conflict_error", anthropic.ConflictError),
        (413, "request_too_large", anthropic.APIStatusError),
        (422, "invalid_request_error", anthropic.UnprocessableEntityError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (500, "api_error", anthropic.InternalServerError),
        (502, "api_error", anthropic.InternalServerError),
        (503, "overloaded_error", anthropic.InternalServerError),
        (504, "timeout_error", anthropic.InternalServerError),
        (529, "overloaded_error", anthropic.InternalServerError),
    ],
)
def test_a_backends_refusal_is_told_by_its_status(
    status: int, kind: str, raised: type[Exception], scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    refusal = {"error": {"message": "no", "type": "x", "param": "stop", "code": 17, "more": [1]}}

    async def script(connection: Connection) -> None:
        headers = {"retry-after": "3", "x-should-retry": "false"}
        await connection.answer(status, json.dumps(refusal).encode(), headers)

    backend.script = script
    with scripted_gateway.claude() as client, pytest.raises(raised) as caught:
        client.messages.create(**ASK)
    error: Any = caught.value
    told = {"type": kind, "message": "no", "param": "stop_sequences", "code": 17, "details": None}
    assert error.body == {"type": "error", "error": told, "request_id": error.request_id}
    assert error.status_code == status and error.type == kind
    assert error.response.headers["retry-after"] == "3" and error.response.headers["x-should-retry"] == "false"


def test_every_error_has_a_param_and_a_code() -> None:
    for error in (InternalError(), BackendRefused(400, {}, {"message": "m"})):
        told = json.loads(errors.body(error, "req-1"))
        assert set(told) == {"type", "error", "request_id"}
        assert {"type", "message", "param", "code"} <= set(told["error"])


def test_strangers_are_told_in_anthropics_shape(keyed: KeyedGateway, backend: ScriptedBackend) -> None:
    for path in (MESSAGES, COUNT):
        for headers in ({}, {"x-api-key": "nonsense"}, {"authorization": "Bearer tg-x"}):
            answer = keyed.post(b"{ not read", path, headers={**headers, "x-request-id": "mine"})
            body = answer.json()
            assert answer.status_code == 401
            assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")
            assert body["error"]["code"] == "invalid_api_key" and body["request_id"] == "mine"
            assert answer.headers["request-id"] == "mine"
    for header in ("x-api-key", "authorization"):
        shown = keyed.key() if header == "x-api-key" else f"Bearer {keyed.key()}"
        assert ask(keyed, headers={header: shown}).status_code == 200
    assert len(backend.requests) == 2
    with (
        keyed.claude("tg-none") as stranger,
        pytest.raises(anthropic.AuthenticationError) as refused,
    ):
        stranger.models.list()
    assert refused.value.type == "authentication_error"


def test_what_a_key_may_not_do(keyed: KeyedGateway, backend: ScriptedBackend) -> None:
    headers = {"x-api-key": keyed.key(models=["merged"], ceiling="low")}
    for path in (MESSAGES, COUNT):
        error = ask(keyed, path, headers, model="split").json()["error"]
        assert (error["type"], error["param"], error["code"]) == ("permission_error", "model", "model_not_allowed")
    for fields, param in (
        ({"output_config": {"effort": "high"}}, "output_config.effort"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking.budget_tokens"),
    ):
        answer = ask(keyed, MESSAGES, headers, **fields)
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["param"]) == (403, "permission_error", param)
    assert backend.requests == []


def test_what_is_left_of_a_keys_limits(keyed: KeyedGateway) -> None:
    headers = {"x-api-key": keyed.key(requests_per_minute=2, tokens_per_minute=100_000)}
    first, second, third = (ask(keyed, headers=headers) for _ in range(3))
    assert first.headers["anthropic-ratelimit-requests-limit"] == "2"
    assert [answer.headers["anthropic-ratelimit-requests-remaining"] for answer in (first, second)] == ["1", "0"]
    assert first.headers["anthropic-ratelimit-tokens-limit"] == "100000"
    assert int(first.headers["anthropic-ratelimit-tokens-remaining"]) < 100_000
    reset = datetime.fromisoformat(first.headers["anthropic-ratelimit-requests-reset"])
    assert timedelta() < reset - datetime.now(UTC) + timedelta(seconds=20) < timedelta(seconds=100)
    assert (third.status_code, third.json()["error"]["type"]) == (429, "rate_limit_error")
    assert int(third.headers["retry-after"]) > 0
    # Who has no limits is told of none.
    assert "anthropic-ratelimit-requests-limit" not in ask(keyed, headers={"x-api-key": keyed.key()}).headers


def test_routes_that_are_not_there(scripted_gateway: RunningGateway) -> None:
    for path in ("/v1/messages/batches", "/v1/messages/", "/v1/messages/count_tokens/x"):
        answer = scripted_gateway.post({}, path)
        body = answer.json()
        assert (answer.status_code, body["type"], body["error"]["type"]) == (404, "error", "not_found_error")
        assert body["request_id"] == answer.headers["request-id"]
    for path in (MESSAGES, COUNT):
        answer = scripted_gateway.get(path)
        assert (answer.status_code, answer.headers["allow"], answer.json()["type"]) == (405, "POST", "error")
    assert scripted_gateway.get("/v1/messagesx").json()["error"]["type"] == "invalid_request_error"


def test_models_are_told_apart_by_who_asks(scripted_gateway: RunningGateway) -> None:
    for headers, kind in ((VERSION, "not_found_error"), ({}, "invalid_request_error")):
        answer = scripted_gateway.get("/v1/models/nope", headers=headers)
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, kind)
        assert ("request-id" in answer.headers) == bool(headers)


def test_any_version_and_beta_will_do(scripted_gateway: RunningGateway) -> None:
    for headers in ({}, VERSION, {"anthropic-version": "x", "anthropic-beta": "a,b"}):
        assert ask(scripted_gateway, headers=headers).status_code == 200
    with scripted_gateway.claude() as client:
        assert client.beta.messages.create(**ASK, betas=["of-tomorrow"]).stop_reason == "end_turn"


def test_headers_of_an_answer(scripted_gateway: RunningGateway) -> None:
    for stream in (False, True):
        answer = ask(scripted_gateway, headers={"x-request-id": "mine"}, stream=stream)
        assert answer.headers["request-id"] == answer.headers["x-request-id"] == "mine"
        assert answer.headers["x-thinkgate-arm"] == "merged" and answer.headers["x-thinkgate-reason"]


def test_who_hangs_up_cancels_the_backend(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    async def script(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.event({"choices": [{"index": 0, "delta": {"content": "so"}}]})
        await connection.hung_up()

    backend.script = script
    with scripted_gateway.claude() as client, client.messages.stream(**ASK) as stream:
        assert next(iter(stream.text_stream)) == "so"
    assert backend.hang_ups.acquire(timeout=PATIENCE_S)
    (row,) = scripted_gateway.records()
    assert row["status"] == 499 and row["client_gone"] == 1
