"""What a client can get wrong in Anthropic's dialect: named, in its shape, and nothing reaches the backend."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.gateway.anthropics import ASK, COUNT, HI, MESSAGES, TOOL, ask
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend

USE = {"type": "tool_use", "id": "a", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "a", "content": "x"}
TEXT = {"type": "text", "text": "x"}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def said(*messages: Any) -> dict[str, Any]:
    return {"messages": [*HI, *messages]}


def block(content: Any) -> dict[str, Any]:
    return {"messages": [user(content)]}


def image(**source: Any) -> dict[str, Any]:
    return block({"type": "image", "source": source})


def document(**source: Any) -> dict[str, Any]:
    return block({"type": "document", "source": source})


def thinking(**fields: Any) -> dict[str, Any]:
    return {"thinking": fields}


def tool(**fields: Any) -> dict[str, Any]:
    return {"tools": [{**TOOL, **fields}]}


MISSING, TYPE, VALUE, CANNOT = "missing_required_parameter", "invalid_type", "invalid_value", "unsupported_value"
SIGNATURE = "invalid_signature"
# What is sent besides a right request, and the param and code that come back.
CASES: list[tuple[dict[str, Any], str, str]] = [
    ({"model": None}, "model", MISSING),
    ({"model": 7}, "model", TYPE),
    ({"max_tokens": None}, "max_tokens", MISSING),
    ({"max_tokens": 0}, "max_tokens", VALUE),
    ({"max_tokens": "5"}, "max_tokens", TYPE),
    ({"max_tokens": True}, "max_tokens", TYPE),
    ({"max_tokens": 5.0}, "max_tokens", TYPE),
    ({"max_tokens": 2**31}, "max_tokens", VALUE),
    ({"messages": None}, "messages", MISSING),
    ({"messages": []}, "messages", "empty_array"),
    ({"messages": "hi"}, "messages", TYPE),
    ({"messages": HI * 10_001}, "messages", "array_too_long"),
    ({"messages": ["hi"]}, "messages.0", TYPE),
    ({"messages": [{"content": "hi"}]}, "messages.0.role", MISSING),
    ({"messages": [{"role": "tool", "content": "hi"}]}, "messages.0.role", VALUE),
    ({"messages": [{"role": 1, "content": "hi"}]}, "messages.0.role", TYPE),
    ({"messages": [{"role": "user"}]}, "messages.0.content", MISSING),
    ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content", TYPE),
    ({"messages": [{"role": "user", "content": {}}]}, "messages.0.content", TYPE),
    ({"messages": [user()]}, "messages.0.content", "empty_array"),
    (block("x"), "messages.0.content.0", TYPE),
    (block({}), "messages.0.content.0.type", MISSING),
    (block({"type": 1}), "messages.0.content.0.type", TYPE),
    (block({"type": "audio"}), "messages.0.content.0.type", CANNOT),
    (block({"type": "container_upload", "file_id": "f"}), "messages.0.content.0.type", CANNOT),
    (block(USE), "messages.0.content.0.type", CANNOT),
    (block({"type": "thinking", "thinking": "x", "signature": "y"}), "messages.0.content.0.type", CANNOT),
    (block({"type": "text"}), "messages.0.content.0.text", MISSING),
    (block({"type": "text", "text": []}), "messages.0.content.0.text", TYPE),
    (block({"type": "image"}), "messages.0.content.0.source", MISSING),
    (block({"type": "image", "source": "x"}), "messages.0.content.0.source", TYPE),
    (image(), "messages.0.content.0.source.type", MISSING),
    (image(type="path"), "messages.0.content.0.source.type", VALUE),
    (image(type="file", file_id="f"), "messages.0.content.0.source.type", CANNOT),
    (image(type="url"), "messages.0.content.0.source.url", MISSING),
    (image(type="url", url=1), "messages.0.content.0.source.url", TYPE),
    (image(type="base64", media_type="image/png"), "messages.0.content.0.source.data", MISSING),
    (image(type="base64", data="x"), "messages.0.content.0.source.media_type", MISSING),
    (image(type="base64", data="x", media_type="image/tiff"), "messages.0.content.0.source.media_type", VALUE),
    (document(), "messages.0.content.0.source.type", MISSING),
    (document(type="base64", media_type="application/pdf", data="x"), "messages.0.content.0.source.type", CANNOT),
    (document(type="url", url="http://x/y.pdf"), "messages.0.content.0.source.type", CANNOT),
    (document(type="file", file_id="f"), "messages.0.content.0.source.type", CANNOT),
    (document(type="text", media_type="text/html", data="x"), "messages.0.content.0.source.media_type", VALUE),
    (document(type="text", media_type="text/plain"), "messages.0.content.0.source.data", MISSING),
    (document(type="content", content=1), "messages.0.content.0.source.content", TYPE),
    (document(type="content", content=[{"type": "x"}]), "messages.0.content.0.source.content.0.type", CANNOT),
    (
        block({"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}}),
        "messages.0.content.0.citations",
        CANNOT,
    ),
    (block({"type": "search_result", "source": "s"}), "messages.0.content.0.title", MISSING),
    ({"system": 5}, "system", TYPE),
    ({"system": ["x"]}, "system.0", TYPE),
    ({"system": [{"type": "image"}]}, "system.0.type", VALUE),
    ({"system": [{"type": "text"}]}, "system.0.text", MISSING),
    (
        {"messages": [{"role": "system", "content": "x"}, {"role": "system", "content": [{}]}]},
        "messages.1.content.0.type",
        MISSING,
    ),
    (said({"role": "system", "content": [USE]}, *HI), "messages.1.content.0.type", VALUE),
    # The model's own turns.
    (said(assistant(TEXT)), "messages", CANNOT),
    (said(assistant("x"), *HI), "messages.1.content.0", TYPE),
    (said(assistant({"type": "image"}), *HI), "messages.1.content.0.type", CANNOT),
    (said(assistant({"type": "server_tool_use"}), *HI), "messages.1.content.0.type", CANNOT),
    (said(assistant({"type": "thinking", "signature": "x"}), *HI), "messages.1.content.0.thinking", MISSING),
    (said(assistant({"type": "thinking", "thinking": "x"}), *HI), "messages.1.content.0.signature", MISSING),
    (
        said(assistant(TEXT, {"type": "thinking", "thinking": "x", "signature": 1}), *HI),
        "messages.1.content.1.signature",
        TYPE,
    ),
    (
        said(assistant({"type": "thinking", "thinking": "x", "signature": "forged"}), *HI),
        "messages.1.content.0.signature",
        SIGNATURE,
    ),
    (
        said(assistant({"type": "thinking", "thinking": "", "signature": ""}), *HI),
        "messages.1.content.0.signature",
        SIGNATURE,
    ),
    (said(assistant({"type": "redacted_thinking"}), *HI), "messages.1.content.0.data", MISSING),
    (said(assistant({"type": "redacted_thinking", "data": "é"}), *HI), "messages.1.content.0.data", SIGNATURE),
    # Calls and results.
    (said(user(RESULT)), "messages.1.content.0.tool_use_id", VALUE),
    (said(assistant(USE), user({**RESULT, "tool_use_id": "b"})), "messages.2.content.0.tool_use_id", VALUE),
    (said(assistant(USE), user({"type": "tool_result"})), "messages.2.content.0.tool_use_id", MISSING),
    (said(assistant(USE), user(RESULT, RESULT)), "messages.2.content.1.tool_use_id", VALUE),
    (said(assistant(USE), user(RESULT), assistant(TEXT), user(RESULT)), "messages.4.content.0.tool_use_id", VALUE),
    (said(assistant(USE), user({**RESULT, "content": 5})), "messages.2.content.0.content", TYPE),
    (said(assistant(USE), user({**RESULT, "content": [1]})), "messages.2.content.0.content.0", TYPE),
    (said(assistant(USE), user({**RESULT, "is_error": 1})), "messages.2.content.0.is_error", TYPE),
    (said(assistant(USE), user(TEXT)), "messages.1.content.0.id", VALUE),
    (said(assistant(USE), {"role": "system", "content": "x"}), "messages.1.content.0.id", VALUE),
    (
        said(assistant(USE), {"role": "system", "content": "x"}, assistant(TEXT), *HI),
        "messages.1.content.0.id",
        VALUE,
    ),
    (said(assistant(USE, USE), user(RESULT)), "messages.1.content.1.id", VALUE),
    (said(assistant({**USE, "id": None}), user(RESULT)), "messages.1.content.0.id", MISSING),
    (said(assistant({**USE, "id": ""}), user(RESULT)), "messages.1.content.0.id", MISSING),
    (said(assistant({**USE, "name": 1}), user(RESULT)), "messages.1.content.0.name", TYPE),
    (said(assistant({**USE, "input": "{}"}), user(RESULT)), "messages.1.content.0.input", TYPE),
    (said(assistant({**USE, "input": None}), user(RESULT)), "messages.1.content.0.input", MISSING),
    # Tools.
    ({"tools": {}}, "tools", TYPE),
    ({"tools": ["look"]}, "tools.0", TYPE),
    (tool(name=None), "tools.0.name", MISSING),
    (tool(name="a b"), "tools.0.name", VALUE),
    (tool(name="x" * 129), "tools.0.name", VALUE),
    (tool(input_schema=None), "tools.0.input_schema", MISSING),
    (tool(input_schema="{}"), "tools.0.input_schema", TYPE),
    (tool(input_schema={"type": "string"}), "tools.0.input_schema.type", VALUE),
    (tool(description=1), "tools.0.description", TYPE),
    (tool(strict="yes"), "tools.0.strict", TYPE),
    (tool(type="web_search_20250305"), "tools.0.type", CANNOT),
    ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools.0.type", CANNOT),
    ({"tools": [TOOL, TOOL]}, "tools.1.name", VALUE),
    ({"tool_choice": "auto"}, "tool_choice", TYPE),
    ({"tool_choice": {}}, "tool_choice.type", MISSING),
    ({"tool_choice": {"type": "required"}}, "tool_choice.type", VALUE),
    ({"tool_choice": {"type": "any"}}, "tool_choice", VALUE),
    ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name", MISSING),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "other"}}, "tool_choice.name", VALUE),
    (
        {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": "no"}},
        "tool_choice.disable_parallel_tool_use",
        TYPE,
    ),
    # Effort.
    ({"thinking": "on"}, "thinking", TYPE),
    (thinking(), "thinking.type", MISSING),
    (thinking(type="on"), "thinking.type", VALUE),
    (thinking(type=True), "thinking.type", TYPE),
    (thinking(type="enabled"), "thinking.budget_tokens", MISSING),
    (thinking(type="enabled", budget_tokens="99"), "thinking.budget_tokens", TYPE),
    (thinking(type="enabled", budget_tokens=99.5), "thinking.budget_tokens", TYPE),
    (thinking(type="enabled", budget_tokens=0), "thinking.budget_tokens", VALUE),
    (thinking(type="enabled", budget_tokens=-1), "thinking.budget_tokens", VALUE),
    (thinking(type="enabled", budget_tokens=5000), "thinking.budget_tokens", VALUE),
    (thinking(type="enabled", budget_tokens=10**12), "thinking.budget_tokens", VALUE),
    (thinking(type="adaptive", display="all"), "thinking.display", VALUE),
    (thinking(type="adaptive", display=1), "thinking.display", TYPE),
    ({"output_config": "high"}, "output_config", TYPE),
    ({"output_config": {"effort": 3}}, "output_config.effort", TYPE),
    ({"output_config": {"effort": "hihg"}}, "output_config.effort", VALUE),
    (
        {"output_config": {"effort": "none"}, "thinking": {"type": "enabled", "budget_tokens": 99}},
        "output_config.effort",
        VALUE,
    ),
    ({"output_config": {"format": "json"}}, "output_config.format", TYPE),
    ({"output_config": {"format": {}}}, "output_config.format.type", MISSING),
    ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type", VALUE),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema", MISSING),
    ({"output_config": {"format": {"type": "json_schema", "schema": 1}}}, "output_config.format.schema", TYPE),
    ({"thinkgate": {"dail": 0.5}}, "thinkgate.dail", "unknown_parameter"),
    ({"thinkgate": {"dial": 2}}, "thinkgate.dial", VALUE),
    ({"model": "fixed", "thinkgate": {"dial": 0.5}}, "thinkgate.dial", VALUE),
    ({"include": "thinkgate"}, "include", TYPE),
    # The rest.
    ({"stream": "yes"}, "stream", TYPE),
    ({"temperature": "hot"}, "temperature", TYPE),
    ({"temperature": -0.1}, "temperature", VALUE),
    ({"temperature": 2.1}, "temperature", VALUE),
    ({"temperature": True}, "temperature", TYPE),
    ({"top_p": 1.5}, "top_p", VALUE),
    ({"top_p": [1]}, "top_p", TYPE),
    ({"top_k": 1.5}, "top_k", TYPE),
    ({"top_k": -1}, "top_k", VALUE),
    ({"stop_sequences": "END"}, "stop_sequences", TYPE),
    ({"stop_sequences": [1]}, "stop_sequences.0", TYPE),
    ({"stop_sequences": ["a", ""]}, "stop_sequences.1", VALUE),
    ({"metadata": "me"}, "metadata", TYPE),
    ({"metadata": {"user_id": 5}}, "metadata.user_id", TYPE),
    ({"service_tier": "flex"}, "service_tier", VALUE),
    ({"service_tier": 1}, "service_tier", TYPE),
    ({"speed": "fast"}, "speed", CANNOT),
    ({"speed": "slow"}, "speed", VALUE),
    ({"container": "c"}, "container", CANNOT),
    ({"inference_geo": "eu"}, "inference_geo", CANNOT),
    ({"mcp_servers": [{"type": "url"}]}, "mcp_servers", CANNOT),
    ({"thread": {"type": "create"}}, "thread", "thread_unsupported_request"),
    ({"thread": {"type": "continue", "previous_message_id": "msg_1"}}, "thread", "thread_unsupported_request"),
]


def test_each_mistake_is_named_and_recorded(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    for fields, param, code in CASES:
        answer = ask(scripted_gateway, **fields)
        body = answer.json()
        error = body["error"]
        assert (answer.status_code, error["param"], error["code"]) == (400, param, code), fields
        assert body["type"] == "error" and error["type"] == "invalid_request_error"
        assert error["message"].startswith(param) and "Traceback" not in answer.text
        assert body["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]
    assert backend.requests == []
    assert ask(scripted_gateway).status_code == 200
    rows = scripted_gateway.records()
    assert [row["error_code"] for row in rows] == [*(case[2] for case in CASES), None]


def test_counting_tokens_checks_the_same_fields(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    for fields, param, code in CASES:
        if code == MISSING and param == "max_tokens":
            continue
        answer = ask(scripted_gateway, COUNT, **fields)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["code"]) == (400, param, code), fields
    assert backend.requests == []
    scripted_gateway.stop()
    assert not scripted_gateway.database.exists()


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
def test_bodies_that_are_no_request(path: str, scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    for raw, code in (
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[1]", "invalid_type"),
        (b'{"model": "merged", "model": "split"}', "duplicate_key"),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "nested_too_deep"),
    ):
        answer = scripted_gateway.post(raw, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
        assert answer.json()["type"] == "error"
    answer = ask(scripted_gateway, path, model="merge")
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (404, "not_found_error", "model")
    assert error["message"] == "The model 'merge' does not exist. Did you mean 'merged'?"
    assert backend.requests == []


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
def test_a_body_beyond_the_limit_is_refused(path: str, backend: ScriptedBackend, start: Start) -> None:
    gateway = start({**table(backend.url), "server": {"max_body_bytes": 10_000}})
    answer = ask(gateway, path, system="x" * 10_000)
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "request_too_large")


def test_a_model_that_cannot_but_think(backend: ScriptedBackend, start: Start) -> None:
    settings = table(backend.url)
    settings["models"]["always"] = {"think": "thinking", "policy": {"kind": "client", "default_effort": "low"}}
    gateway = start(settings)
    for fields, param in (
        ({"thinking": {"type": "disabled"}}, "thinking.type"),
        ({"output_config": {"effort": "none"}}, "output_config.effort"),
    ):
        answer = ask(gateway, model="always", **fields)
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
        assert "cannot turn thinking off. It takes: minimal, low, medium" in error["message"]
    assert backend.requests == []


def test_the_sdk_raises_its_own_errors(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.claude() as client:
        with pytest.raises(anthropic.BadRequestError) as bad:
            client.messages.create(**{**ASK, "messages": []})
        with pytest.raises(anthropic.NotFoundError) as unknown:
            client.messages.create(**{**ASK, "model": "claude"}, stream=True)
        with pytest.raises(anthropic.BadRequestError), client.messages.stream(**{**ASK, "messages": []}) as stream:
            stream.get_final_message()
    assert (bad.value.type, bad.value.error_code) == ("invalid_request_error", "empty_array")
    assert bad.value.request_id is not None and unknown.value.type == "not_found_error"
