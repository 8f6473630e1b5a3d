"""The same mistakes in every dialect: told in the dialect's own shape with the field's name, and nothing goes on.

What is special to one dialect is in its own tables of bad input; here is what a client can do wrong in any of them.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend

HI: list[Any] = [{"role": "user", "content": "hi"}]
FUNCTION = {"name": "f", "parameters": {"type": "object"}}
PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
}
RIGHT: dict[str, dict[str, Any]] = {
    "chat": {"model": "merged", "messages": HI},
    "responses": {"model": "merged", "input": "hi"},
    "messages": {"model": "merged", "max_tokens": 500, "messages": HI},
    "completions": {"model": "merged", "prompt": "hi"},
    "embeddings": {"model": "merged", "input": "hi"},
}
# What each field may be, in JSON's words; any other kind of value is a mistake.
KINDS: dict[str, dict[str, str]] = {
    "chat": {
        "model": "string",
        "messages": "array",
        "stream": "boolean",
        "stream_options": "object",
        "tools": "array",
        "tool_choice": "string object",
        "parallel_tool_calls": "boolean",
        "n": "integer",
        "max_tokens": "integer",
        "max_completion_tokens": "integer",
        "temperature": "number",
        "top_p": "number",
        "presence_penalty": "number",
        "frequency_penalty": "number",
        "seed": "integer",
        "stop": "string array",
        "logprobs": "boolean",
        "top_logprobs": "integer",
        "logit_bias": "object",
        "response_format": "object",
        "reasoning_effort": "string",
        "reasoning": "object",
        "thinking": "object",
        "thinking_token_budget": "integer",
        "chat_template_kwargs": "object",
        "thinkgate": "object",
        "include": "array",
        "metadata": "object",
        "user": "string",
        "safety_identifier": "string",
        "prompt_cache_key": "string",
        "service_tier": "string",
        "store": "boolean",
        "verbosity": "string",
        "modalities": "array",
    },
    "responses": {
        "model": "string",
        "input": "string array",
        "instructions": "string",
        "stream": "boolean",
        "stream_options": "object",
        "tools": "array",
        "tool_choice": "string object",
        "parallel_tool_calls": "boolean",
        "max_output_tokens": "integer",
        "temperature": "number",
        "top_p": "number",
        "top_logprobs": "integer",
        "reasoning": "object",
        "text": "object",
        "include": "array",
        "previous_response_id": "string",
        "store": "boolean",
        "metadata": "object",
        "user": "string",
        "safety_identifier": "string",
        "prompt_cache_key": "string",
        "service_tier": "string",
        "truncation": "string",
        "background": "boolean",
        "thinkgate": "object",
    },
    "messages": {
        "model": "string",
        "messages": "array",
        "system": "string array",
        "max_tokens": "integer",
        "stream": "boolean",
        "stop_sequences": "array",
        "temperature": "number",
        "top_p": "number",
        "top_k": "integer",
        "tools": "array",
        "tool_choice": "object",
        "thinking": "object",
        "output_config": "object",
        "metadata": "object",
        "service_tier": "string",
        "thinkgate": "object",
    },
    "completions": {
        "model": "string",
        "prompt": "string array",
        "stream": "boolean",
        "stream_options": "object",
        "max_tokens": "integer",
        "n": "integer",
        "best_of": "integer",
        "temperature": "number",
        "top_p": "number",
        "presence_penalty": "number",
        "frequency_penalty": "number",
        "seed": "integer",
        "stop": "string array",
        "logprobs": "integer",
        "logit_bias": "object",
        "echo": "boolean",
        "suffix": "string",
        "user": "string",
    },
    "embeddings": {
        "model": "string",
        "input": "string array",
        "encoding_format": "string",
        "dimensions": "integer",
        "user": "string",
    },
}
VALUES: dict[str, Any] = {
    "string": "7",
    "integer": 7,
    "number": 0.5,
    "boolean": True,
    "array": [7.5],
    "object": {"x": 7},
}
WRONG_TYPES = [
    (dialect, name, kind)
    for dialect, fields in KINDS.items()
    for name, legal in fields.items()
    for kind in VALUES
    if kind not in legal.split() and (kind, legal) != ("integer", "number")
]


def ask(gateway: RunningGateway, dialect: str, **fields: Any) -> httpx.Response:
    return gateway.post({**RIGHT[dialect], **fields}, PATHS[dialect])


def refused(answer: httpx.Response, dialect: str) -> dict[str, Any]:
    """The error of a 4xx in the dialect's own shape."""
    assert 400 <= answer.status_code < 500, answer.text
    body = answer.json()
    error: dict[str, Any] = body["error"]
    assert error["type"] == ("not_found_error" if (dialect, answer.status_code) == ("messages", 404) else INVALID)
    assert error["message"] and "Traceback" not in answer.text
    if dialect == "messages":
        assert body["type"] == "error" and body["request_id"] == answer.headers["request-id"]
    else:
        assert body.keys() == {"error"} and {"message", "type", "param", "code"} <= error.keys()
    return error


INVALID = "invalid_request_error"


def test_every_field_with_every_wrong_type(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    for dialect, name, kind in WRONG_TYPES:
        answer = ask(scripted_gateway, dialect, **{name: VALUES[kind]})
        assert answer.status_code == 400, (dialect, name, kind, answer.text)
        error = refused(answer, dialect)
        assert str(error["param"]).startswith(name), (dialect, name, kind, error)
    assert backend.requests == []
    rows = scripted_gateway.records()
    assert len(rows) == len(WRONG_TYPES) > 400 and {row["status"] for row in rows} == {400}


THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "Zm9yZ2Vk"}
USE = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "Zm9yZ2Vk"}
RESULT = {"type": "tool_result", "tool_use_id": "nobody", "content": "x"}
OUTPUT = {"type": "function_call_output", "call_id": "nobody", "output": "x"}
TWICE = {"role": "assistant", "content": "1", "reasoning": "one", "reasoning_content": "two"}

# Dialect, what is said besides, status, and the field that is named.
MISTAKES: list[tuple[str, dict[str, Any], int, str]] = [
    *((dialect, {"model": "merge"}, 404, "model") for dialect in PATHS),
    # An illegal level.
    ("chat", {"reasoning_effort": "hihg"}, 400, "reasoning_effort"),
    ("responses", {"reasoning": {"effort": "hihg"}}, 400, "reasoning.effort"),
    ("messages", {"output_config": {"effort": "hihg"}}, 400, "output_config.effort"),
    # A budget that leaves no answer, or none at all.
    ("chat", {"thinking_token_budget": 50, "max_tokens": 50}, 400, "thinking_token_budget"),
    ("chat", {"reasoning": {"max_tokens": 60}, "max_completion_tokens": 50}, 400, "reasoning.max_tokens"),
    ("chat", {"thinking_token_budget": -2}, 400, "thinking_token_budget"),
    ("messages", {"thinking": {"type": "enabled", "budget_tokens": 500}}, 400, "thinking.budget_tokens"),
    ("messages", {"thinking": {"type": "enabled"}}, 400, "thinking.budget_tokens"),
    ("messages", {"thinking": {"type": "enabled", "budget_tokens": 0}}, 400, "thinking.budget_tokens"),
    # Two efforts that contradict each other.
    ("chat", {"reasoning_effort": "high", "reasoning": {"enabled": False}}, 400, "reasoning.enabled"),
    ("messages", {"thinking": {"type": "enabled", "budget_tokens": 9}, "output_config": {"effort": "none"}}, 400,
     "output_config.effort"),
    # Thoughts that are not ours.
    ("messages", {"messages": [*HI, {"role": "assistant", "content": [THOUGHT, {"type": "text", "text": "x"}]}, *HI]},
     400, "messages.1.content.0.signature"),
    ("responses", {"input": [SEALED, *HI]}, 400, "input[0].encrypted_content"),
    # A thought under two names that says two things.
    ("chat", {"messages": [*HI, TWICE, *HI]}, 400, "messages[1].reasoning_content"),
    # Results without calls.
    ("chat", {"messages": [*HI, {"role": "tool", "tool_call_id": "nobody", "content": "x"}]}, 400,
     "messages[1].tool_call_id"),
    ("responses", {"input": [*HI, OUTPUT]}, 400, "input[1].call_id"),
    ("messages", {"messages": [*HI, {"role": "assistant", "content": [USE]}, {"role": "user", "content": [RESULT]}]},
     400, "messages.2.content.0.tool_use_id"),
    # What was never answered here.
    ("responses", {"previous_response_id": "resp_nobody"}, 400, "previous_response_id"),
    # Beyond what the policy lets a client set.
    ("chat", {"model": "fixed", "thinkgate": {"dial": 0.5}}, 400, "thinkgate.dial"),
    ("responses", {"model": "fixed", "thinkgate": {"dial": 0.5}}, 400, "thinkgate.dial"),
    ("messages", {"model": "fixed", "thinkgate": {"dial": 0.5}}, 400, "thinkgate.dial"),
    # An effort where there is nobody to tell it to.
    ("completions", {"reasoning_effort": "low"}, 400, "reasoning_effort"),
    ("embeddings", {"thinking": {"type": "disabled"}}, 400, "thinking"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "fields", "status", "param"), MISTAKES, ids=[f"{dialect} {param}" for dialect, _, _, param in MISTAKES]
)
def test_each_mistake(
    scripted_gateway: RunningGateway,
    backend: ScriptedBackend,
    dialect: str,
    fields: dict[str, Any],
    status: int,
    param: str,
) -> None:
    answer = ask(scripted_gateway, dialect, **fields)
    assert answer.status_code == status, answer.text
    assert refused(answer, dialect)["param"] == param, answer.text
    streamed = ask(scripted_gateway, dialect, **fields, stream=True)
    assert streamed.status_code == status and streamed.headers["content-type"] == "application/json"
    assert backend.requests == []


OFF = {
    "chat": ({"reasoning_effort": "none"}, "reasoning_effort"),
    "responses": ({"reasoning": {"effort": "none"}}, "reasoning.effort"),
    "messages": ({"thinking": {"type": "disabled"}}, "thinking.type"),
}


@pytest.mark.parametrize("dialect", OFF)
def test_a_model_that_cannot_but_think(backend: ScriptedBackend, start: Any, dialect: str) -> None:
    family = {"about": "always thinks", "off": False, "source": "this test"}
    gateway = start(
        {
            "families": {"loud": family},
            "deployments": {"loud": {"url": backend.url, "family": "loud"}},
            "models": {"merged": {"deployment": "loud"}},
        }
    )
    fields, param = OFF[dialect]
    error = refused(ask(gateway, dialect, **fields), dialect)
    assert error["param"] == param and "cannot turn thinking off" in error["message"], error
    assert "It takes: minimal, low, medium, high, xhigh, max, auto" in error["message"]
    assert backend.requests == []
    assert json.loads(ask(gateway, dialect).text)
