"""What a client can get wrong: a clear error, nothing reaches the backend, the process lives on, one record each."""

from __future__ import annotations

from typing import Any

import openai
import orjson
import pytest

from gateway.api import json_object
from gateway.core.errors import InvalidRequest
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend

MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]
ASK: dict[str, Any] = {"model": "merged", "messages": MESSAGES}

# What is sent, and the status, param and code that come back.
CASES: list[tuple[Any, int, str | None, str]] = [
    (b"", 400, None, "invalid_json"),
    (b"{", 400, None, "invalid_json"),
    (b'{"model": "merged", "messages": [{"role": "user", "content": "\xff\xfe"}]}', 400, None, "invalid_json"),
    (b'{"model": NaN}', 400, None, "invalid_json"),
    (b'{"model": 1e999}', 400, None, "invalid_json"),
    (b'{"model": "\\ud800"}', 400, None, "invalid_json"),
    (b'{"model": "merged", "model": "split"}', 400, None, "duplicate_key"),
    (b'{"tools": [{"a": 1, "b": {"c": 2, "\\u0063": 3}}]}', 400, None, "duplicate_key"),
    (b'{"seed": 18446744073709551617}', 400, None, "invalid_json"),
    (b'{"seed": ' + b"9" * 6000 + b"}", 400, None, "invalid_json"),
    (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", 400, None, "nested_too_deep"),
    (b'{"a":' * 2000 + b"1" + b"}" * 2000, 400, None, "nested_too_deep"),
    (b"[" * 200_000, 400, None, "nested_too_deep"),
    (b'{"a":[' + b"[]," * 400_000 + b"1]}", 400, None, "too_many_values"),
    (b'"a string"', 400, None, "invalid_type"),
    (b"[1]", 400, None, "invalid_type"),
    ({"messages": MESSAGES}, 400, "model", "missing_required_parameter"),
    ({"model": 7, "messages": MESSAGES}, 400, "model", "invalid_type"),
    ({"model": "merge", "messages": MESSAGES}, 404, "model", "model_not_found"),
    ({"model": "merged"}, 400, "messages", "missing_required_parameter"),
    ({**ASK, "messages": []}, 400, "messages", "empty_array"),
    ({**ASK, "messages": MESSAGES * 10_001}, 400, "messages", "array_too_long"),
    ({**ASK, "messages": "hi"}, 400, "messages", "invalid_type"),
    ({**ASK, "messages": ["hi"]}, 400, "messages[0]", "invalid_type"),
    ({**ASK, "messages": [{"content": "hi"}]}, 400, "messages[0].role", "missing_required_parameter"),
    ({**ASK, "messages": [{"role": 1, "content": "hi"}]}, 400, "messages[0].role", "invalid_type"),
    ({**ASK, "messages": [*MESSAGES, {"role": "user", "content": 5}]}, 400, "messages[1].content", "invalid_type"),
    ({**ASK, "messages": [{"role": "user", "content": [5]}]}, 400, "messages[0].content[0]", "invalid_type"),
    ({**ASK, "tools": {"type": "function"}}, 400, "tools", "invalid_type"),
    ({**ASK, "tools": ["f"]}, 400, "tools[0]", "invalid_type"),
    ({**ASK, "stream": "yes"}, 400, "stream", "invalid_type"),
    ({**ASK, "stream": True, "stream_options": 1}, 400, "stream_options", "invalid_type"),
    (
        {**ASK, "stream": True, "stream_options": {"include_usage": 1}},
        400,
        "stream_options.include_usage",
        "invalid_type",
    ),
    ({**ASK, "max_tokens": 0}, 400, "max_tokens", "invalid_value"),
    ({**ASK, "max_tokens": -5}, 400, "max_tokens", "invalid_value"),
    ({**ASK, "max_tokens": True}, 400, "max_tokens", "invalid_type"),
    ({**ASK, "max_completion_tokens": 1e3}, 400, "max_completion_tokens", "invalid_type"),
    ({**ASK, "max_completion_tokens": 10**15}, 400, "max_completion_tokens", "invalid_value"),
    ({**ASK, "n": 0}, 400, "n", "invalid_value"),
    ({**ASK, "n": 129}, 400, "n", "invalid_value"),
    ({**ASK, "n": "5"}, 400, "n", "invalid_type"),
    ({**ASK, "n": 5.0}, 400, "n", "invalid_type"),
    ({**ASK, "thinking_token_budget": -2}, 400, "thinking_token_budget", "invalid_value"),
    ({**ASK, "thinking_token_budget": 10**12}, 400, "thinking_token_budget", "invalid_value"),
    ({**ASK, "thinking_token_budget": "50"}, 400, "thinking_token_budget", "invalid_type"),
    ({**ASK, "thinking_token_budget": False}, 400, "thinking_token_budget", "invalid_type"),
    ({**ASK, "reasoning_effort": "hihg"}, 400, "reasoning_effort", "invalid_value"),
    ({**ASK, "reasoning_effort": 3}, 400, "reasoning_effort", "invalid_type"),
    ({**ASK, "chat_template_kwargs": []}, 400, "chat_template_kwargs", "invalid_type"),
    (
        {**ASK, "chat_template_kwargs": {"enable_thinking": "no"}},
        400,
        "chat_template_kwargs.enable_thinking",
        "invalid_type",
    ),
    (
        {**ASK, "reasoning_effort": "high", "chat_template_kwargs": {"enable_thinking": False}},
        400,
        "chat_template_kwargs.enable_thinking",
        "invalid_value",
    ),
    ({**ASK, "thinkgate": 0.5}, 400, "thinkgate", "invalid_type"),
    ({**ASK, "thinkgate": {"dail": 0.5}}, 400, "thinkgate.dail", "unknown_parameter"),
    ({**ASK, "thinkgate": {"dial": 1.5}}, 400, "thinkgate.dial", "invalid_value"),
    ({**ASK, "thinkgate": {"dial": "max"}}, 400, "thinkgate.dial", "invalid_type"),
    ({**ASK, "model": "fixed", "thinkgate": {"dial": 0.5}}, 400, "thinkgate.dial", "invalid_value"),
]


def test_each_mistake_is_named_and_recorded(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    for sent, status, param, code in CASES:
        answer = scripted_gateway.post(sent)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["code"]) == (status, param, code), sent
        assert error["type"] == "invalid_request_error"
        assert error["message"] and "Traceback" not in answer.text
        assert answer.headers["x-request-id"].startswith("req-")
    assert backend.requests == []
    assert scripted_gateway.post(ASK).status_code == 200
    rows = scripted_gateway.records()
    assert [row["status"] for row in rows] == [*(case[1] for case in CASES), 200]
    assert [row["error_code"] for row in rows] == [*(case[3] for case in CASES), None]


def test_the_nearest_valid_name_is_offered(scripted_gateway: RunningGateway) -> None:
    def message(**fields: Any) -> str:
        return str(scripted_gateway.post({**ASK, **fields}).json()["error"]["message"])

    assert message(model="splitt") == "The model 'splitt' does not exist. Did you mean 'split'?"
    assert message(thinkgate={"dail": 1}) == "thinkgate.dail is unknown. Did you mean 'dial'?"
    told = message(reasoning_effort="hihg")
    assert "one of auto, none, minimal, low, medium, high, xhigh, max" in told and "Did you mean 'high'?" in told


def test_the_sdk_raises_its_own_errors(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.sdk() as client:
        with pytest.raises(openai.BadRequestError) as bad:
            client.chat.completions.create(model="merged", messages=[])
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True)
    assert bad.value.param == "messages" and bad.value.request_id is not None


def test_a_body_beyond_the_limit_is_refused(backend: ScriptedBackend, start: Start) -> None:
    gateway = start({**table(backend.url), "server": {"max_body_bytes": 10_000}})
    answer = gateway.post({**ASK, "messages": [{"role": "user", "content": "x" * 10_000}]})
    assert answer.status_code == 413 and answer.json()["error"]["code"] == "request_too_large"
    assert gateway.post(ASK).status_code == 200
    assert [row["status"] for row in gateway.records()] == [413, 200]


def test_what_stands_in_strings_is_no_value_wherever_a_quote_is_escaped() -> None:
    said = rb"\\\\\",[{:\\" + rb"\"" * 5
    for before in range(65_520, 65_540):
        raw = b'["' + b"a" * before + said + b'",1,{"k":[2]}]' + b'["' + said * 9000 + b'"],'
        assert json_object.outside_strings(raw) == [3, 3, 1, 1]
    commas = b'{"model":"' + b"," * 600_000 + b'"}'
    assert json_object.read(commas, 64) == {"model": "," * 600_000}


def test_many_values_are_refused_before_anything_is_made_of_them() -> None:
    many = {"keys": {f"k{number}": 0 for number in range(300_000)}, "objects": [{}] * 90_000, "lists": [[]] * 300_000}
    for name, values in many.items():
        with pytest.raises(InvalidRequest, match="too many for its size"):
            json_object.read(orjson.dumps({name: values}), 64)
    tokens = {"input": list(range(300_000))}
    assert json_object.read(orjson.dumps(tokens), 64) == tokens
