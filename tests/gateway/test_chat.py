"""The official SDK through the gateway, unchanged: plain, streamed, sync, async, raw."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, Connection, ScriptedBackend, delta, obedient

ASK: dict[str, Any] = {"model": "merged", "messages": [{"role": "user", "content": "What is 2+2?"}]}


def test_a_plain_answer_comes_back_whole(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.sdk() as client:
        completion = client.chat.completions.create(**ASK)
    assert completion.choices[0].message.content == "four"
    assert completion.choices[0].message.reasoning == "two and two"  # type: ignore[attr-defined]
    assert completion.usage is not None and completion.usage.completion_tokens == 9
    assert completion.model == "merged"
    assert completion.a_field_of_tomorrow == {"kept": True}  # type: ignore[attr-defined]


def test_only_the_model_name_of_an_answer_is_changed(scripted_gateway: RunningGateway) -> None:
    answer = scripted_gateway.post(ASK).json()
    assert answer == {**ANSWER, "model": "merged"}
    assert list(answer) == list(ANSWER)


def test_a_stream_comes_back_whole(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.sdk() as client:
        chunks = list(client.chat.completions.create(**ASK, stream=True))
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", None, "four", None]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert {chunk.model for chunk in chunks} == {"merged"}


async def test_the_async_client(scripted_gateway: RunningGateway) -> None:
    async with scripted_gateway.async_sdk() as client:
        completion = await client.chat.completions.create(**ASK)
        stream = await client.chat.completions.create(**ASK, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert completion.choices[0].message.content == text == "four"


def test_every_answer_carries_the_headers(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.sdk() as client:
        for stream in (False, True):
            raw = client.chat.completions.with_raw_response.create(
                **ASK, stream=stream, reasoning_effort="medium", extra_headers={"x-request-id": "my-own.id:7"}
            )
            raw.parse()
            told = {name: raw.headers[name] for name in raw.headers if name.startswith("x-")}
            assert len(told.pop("x-thinkgate-id")) == 28
            assert told.pop("x-content-type-options") == "nosniff" and raw.headers["cache-control"] == "no-store"
            assert told == {
                "x-request-id": "my-own.id:7",
                "x-thinkgate-effort": "medium",
                "x-thinkgate-budget": "64",
                "x-thinkgate-reason": "client",
                "x-thinkgate-arm": "merged",
                "x-thinkgate-router": "constant",
            }
            raw.http_response.close()


@pytest.mark.parametrize("bad", ["", "with spaces", "x" * 129, "semi;colon", "umläut"])
def test_an_odd_request_id_is_replaced(scripted_gateway: RunningGateway, backend: ScriptedBackend, bad: str) -> None:
    answer = scripted_gateway.post(ASK, headers={"x-request-id": bad.encode()})
    assert answer.headers["x-request-id"].startswith("req-")
    assert backend.requests[-1].headers["x-request-id"] == answer.headers["x-request-id"]


def test_unknown_fields_reach_the_backend_untouched(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    fields = {
        "temperature": 0.25,
        "seed": 7,
        "logprobs": True,
        "response_format": {"type": "json_object"},
        "a_field_of_tomorrow": [1, {"deep": None}],
        "metadata": {"conversation_id": "c"},
        "chat_template_kwargs": {"custom": "kept"},
    }
    scripted_gateway.post({**ASK, **fields, "reasoning_effort": "none"})
    expected = {**ASK, **fields, "model": "backend-model"}
    expected["chat_template_kwargs"] = {"custom": "kept", "enable_thinking": False}
    assert backend.last == expected


def test_the_client_s_credentials_stay_here_and_traces_go_on(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    scripted_gateway.post(ASK, headers={"authorization": "Bearer secret", "traceparent": trace, "cookie": "a=b"})
    headers = backend.requests[-1].headers
    assert "authorization" not in headers and "cookie" not in headers
    assert headers["traceparent"] == trace


def test_usage_is_asked_for_and_hidden_from_a_client_that_did_not_ask(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    with scripted_gateway.sdk() as client:
        without = list(client.chat.completions.create(**ASK, stream=True))
        assert backend.last["stream_options"] == {"include_usage": True}
        with_usage = list(client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True}))
    assert all(chunk.choices for chunk in without)
    assert with_usage[-1].usage is not None and with_usage[-1].usage.completion_tokens == 9
    assert with_usage[-1].model == "merged"
    assert [row["completion_tokens"] for row in scripted_gateway.records()] == [9, 9]


def test_a_stream_in_single_bytes_comes_through(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    tricky = 'quotes "model":"backend-model" and [DONE] and \n\n inside'

    async def drip(connection: Connection) -> None:
        await connection.begin_stream()
        events = [delta(content=tricky), delta("stop")]
        text = "".join(f"data: {json.dumps(event)}\r\n\r\n" for event in events) + "data: [DONE]\r\n\r\n"
        for byte in text.encode():
            await connection.chunk(bytes([byte]))
        await connection.end_stream()

    backend.script = drip
    with scripted_gateway.sdk() as client:
        chunks = list(client.chat.completions.create(**ASK, stream=True))
    assert chunks[0].choices[0].delta.content == tricky
    assert chunks[0].model == "merged"


def test_the_models_are_listed(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.sdk() as client:
        names = [model.id for model in client.models.list()]
        assert names == ["merged", "split", "unrouted", "bounded", "fixed", "plain"]
        assert client.models.retrieve("split").id == "split"
        with pytest.raises(openai.NotFoundError, match="Did you mean 'merged'"):
            client.models.retrieve("merge")


def test_ready_only_when_the_backends_answer(start: Start, backend: ScriptedBackend) -> None:
    assert start(table(backend.url)).get("/ready").status_code == 200
    scripted_gateway = start(table(backend.url))
    assert scripted_gateway.get("/health").json() == {"status": "ok"}

    async def broken(connection: Connection) -> None:
        await connection.answer(503, b"{}")

    backend.script = broken
    answer = scripted_gateway.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["deployments"]["hybrid"] == "status 503"
    assert scripted_gateway.get("/health").status_code == 200
    backend.script = obedient
    assert scripted_gateway.get("/ready").status_code == 503, "it is not asked again at once"


def test_metrics_count_requests_and_thinking_tokens(scripted_gateway: RunningGateway) -> None:
    scripted_gateway.post({**ASK, "reasoning_effort": "low"})
    scripted_gateway.post({**ASK, "model": "no-such-model"})
    text = scripted_gateway.get("/metrics").text
    assert 'thinkgate_requests_total{arm="merged",model="merged",reason="client",status="200"} 1.0' in text
    assert 'thinkgate_requests_total{arm="",model="unknown",reason="",status="404"} 1.0' in text
    assert 'thinkgate_tokens_total{kind="reasoning",model="merged"} 5.0' in text
    assert "thinkgate_in_flight 0.0" in text


def test_unknown_routes_answer_in_openai_s_shape(scripted_gateway: RunningGateway) -> None:
    missing = scripted_gateway.get("/v1/nothing")
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "not_found"
    assert missing.headers["x-request-id"].startswith("req-")
    wrong = scripted_gateway.get("/v1/chat/completions")
    assert wrong.status_code == 405 and wrong.json()["error"]["type"] == "invalid_request_error"
