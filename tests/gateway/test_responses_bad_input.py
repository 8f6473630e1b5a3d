"""What a client of /v1/responses can get wrong: the field is named, nothing reaches the backend, one record each."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from gateway.auth.seal import Seal
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend

PATH = "/v1/responses"
ASK: dict[str, Any] = {"model": "merged", "input": "hi"}
HI: dict[str, Any] = {"role": "user", "content": "hi"}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
CUSTOM = {"type": "custom_tool_call", "call_id": "c1", "name": "look", "input": ""}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "it"}
OTHERS = Seal(["another gateway's secret, of some length"]).bound(None, "merged")
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}}
NOBODY = f"resp_{'0' * 48}"
MISSING, TYPE, VALUE = "missing_required_parameter", "invalid_type", "invalid_value"
UNSUPPORTED, UNKNOWN = "unsupported_parameter", "unknown_parameter"


def said(*items: Any) -> dict[str, Any]:
    return {"input": list(items)}


# What is sent besides the model and the input, and the param, the code and perhaps the status that come back.
CASES: list[tuple[Any, ...]] = [
    ({"model": 7}, "model", TYPE),
    ({"model": "merge"}, "model", "model_not_found", 404),
    # The input as a whole.
    ({"input": None}, "input", MISSING),
    ({"input": ""}, "input", "empty_string"),
    ({"input": []}, "input", "empty_array"),
    ({"input": 5}, "input", TYPE),
    ({"input": {"role": "user"}}, "input", TYPE),
    ({"input": [HI] * 10_001}, "input", "array_too_long"),
    (said("hi"), "input[0]", TYPE),
    (said(HI, {}), "input[1].type", MISSING),
    (said({"type": 5}), "input[0].type", TYPE),
    (said({"type": "web_search_call", "id": "ws_1"}), "input[0].type", UNSUPPORTED),
    (said({"type": "compaction", "encrypted_content": "x"}), "input[0].type", UNSUPPORTED),
    # Messages and what is in them.
    (said({"type": "message", "content": "hi"}), "input[0].role", MISSING),
    (said({"role": 5, "content": "hi"}), "input[0].role", TYPE),
    (said({"role": "tool", "content": "hi"}), "input[0].role", VALUE),
    (said({"role": "user"}), "input[0].content", MISSING),
    (said({"role": "user", "content": 5}), "input[0].content", TYPE),
    (said({"role": "user", "content": ["hi"]}), "input[0].content[0]", TYPE),
    (said({"role": "user", "content": [{"text": "hi"}]}), "input[0].content[0].type", MISSING),
    (said({"role": "user", "content": [{"type": "text", "text": "hi"}]}), "input[0].content[0].type", UNSUPPORTED),
    (said({"role": "user", "content": [{"type": "input_text"}]}), "input[0].content[0].text", MISSING),
    (said({"role": "user", "content": [{"type": "input_text", "text": 5}]}), "input[0].content[0].text", TYPE),
    (said({"role": "user", "content": [{"type": "input_image"}]}), "input[0].content[0].image_url", MISSING),
    (
        said({"role": "user", "content": [{"type": "input_image", "image_url": "u", "detail": "huge"}]}),
        "input[0].content[0].detail",
        VALUE,
    ),
    (
        said({"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}),
        "input[0].content[0].file_id",
        UNSUPPORTED,
    ),
    (
        said({"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}),
        "input[0].content[0].file_url",
        UNSUPPORTED,
    ),
    (said({"role": "assistant", "content": [{"type": "input_image"}]}), "input[0].content[0].type", VALUE),
    (said({"role": "assistant", "content": [{"type": "refusal"}]}), "input[0].content[0].refusal", MISSING),
    (said({**HI, "id": 5}), "input[0].id", TYPE),
    # Calls and their outputs.
    (said(HI, OUTPUT), "input[1].call_id", VALUE),
    (said(OUTPUT, CALL), "input[0].call_id", VALUE),
    (said(CALL, {**OUTPUT, "call_id": "c2"}), "input[1].call_id", VALUE),
    (said(CALL, {**OUTPUT, "type": "custom_tool_call_output"}), "input[1].call_id", VALUE),
    (said(CUSTOM, OUTPUT), "input[1].call_id", VALUE),
    (said(CALL, OUTPUT, OUTPUT), "input[2].call_id", VALUE),
    (said(CALL, CALL), "input[1].call_id", VALUE),
    (said(CALL, CUSTOM), "input[1].call_id", VALUE),
    (said({**CALL, "call_id": None}), "input[0].call_id", MISSING),
    (said({**CALL, "name": ""}), "input[0].name", MISSING),
    (said({**CALL, "arguments": {}}), "input[0].arguments", TYPE),
    (said({**CALL, "arguments": None}), "input[0].arguments", MISSING),
    (said({**CALL, "namespace": "files"}), "input[0].namespace", UNSUPPORTED),
    (said(CALL, {**OUTPUT, "output": None}), "input[1].output", MISSING),
    (said(CALL, {**OUTPUT, "output": 5}), "input[1].output", TYPE),
    (said(CALL, {**OUTPUT, "output": [{"type": "output_audio"}]}), "input[1].output[0].type", UNSUPPORTED),
    (said({**CUSTOM, "input": None}), "input[0].input", MISSING),
    # Thoughts that come back.
    (said(HI, THOUGHT, HI), "input[1].id", "item_not_found", 404),
    (said({"type": "reasoning"}), "input[0].id", MISSING),
    (said({**THOUGHT, "content": "why"}), "input[0].content", TYPE),
    (said({**THOUGHT, "content": [{"type": "reasoning_text"}]}), "input[0].content[0].text", MISSING),
    (said({**THOUGHT, "content": [{"type": "text", "text": "why"}]}), "input[0].content[0].type", VALUE),
    (said({**THOUGHT, "summary": [{"type": "summary_text", "text": 5}]}), "input[0].summary[0].text", TYPE),
    (said({**THOUGHT, "encrypted_content": 5}), "input[0].encrypted_content", TYPE),
    (
        said({**THOUGHT, "encrypted_content": "gAAAAABforged"}),
        "input[0].encrypted_content",
        "invalid_encrypted_content",
    ),
    (said({**THOUGHT, "encrypted_content": "é"}), "input[0].encrypted_content", "invalid_encrypted_content"),
    (
        said(
            {
                **THOUGHT,
                "encrypted_content": Seal(["another gateway's secret, of some length"])
                .bound(None, "merged")
                .close("why"),
            }
        ),
        "input[0].encrypted_content",
        "invalid_encrypted_content",
    ),
    (said({"type": "item_reference", "id": "msg_1"}), "input[0].id", "item_not_found", 404),
    (said({"type": "item_reference", "id": f"msg_{'0' * 48}_o0"}), "input[0].id", "item_not_found", 404),
    (said({"type": "item_reference"}), "input[0].id", MISSING),
    (said({"type": "item_reference", "id": 5}), "input[0].id", TYPE),
    # The configuration in the middle.
    (said(HI, {"type": "configuration_update"}), "input[1].reasoning", MISSING),
    (said(HI, {"type": "configuration_update", "reasoning": {"effort": "hihg"}}), "input[1].reasoning.effort", VALUE),
    (said(HI, {"type": "configuration_update", "reasoning": "high"}), "input[1].reasoning", TYPE),
    (said(HI, {"type": "configuration_update", "text": {"format": {}}}), "input[1].text.format.type", MISSING),
    # Effort.
    ({"reasoning": "high"}, "reasoning", TYPE),
    ({"reasoning": {"effort": 3}}, "reasoning.effort", TYPE),
    ({"reasoning": {"effort": "hihg"}}, "reasoning.effort", VALUE),
    ({"reasoning": {"effort": "high"}, "reasoning_effort": "low"}, "reasoning.effort", VALUE),
    ({"reasoning": {"summary": "long"}}, "reasoning.summary", VALUE),
    ({"reasoning": {"context": "none"}}, "reasoning.context", VALUE),
    ({"reasoning": {"mode": "pro"}}, "reasoning.mode", UNSUPPORTED),
    ({"thinking_token_budget": "50"}, "thinking_token_budget", TYPE),
    ({"thinking_token_budget": -2}, "thinking_token_budget", VALUE),
    ({"thinking_token_budget": 100, "max_output_tokens": 100}, "thinking_token_budget", VALUE),
    ({"chat_template_kwargs": {"enable_thinking": "no"}}, "chat_template_kwargs.enable_thinking", TYPE),
    (
        {"reasoning": {"effort": "high"}, "chat_template_kwargs": {"enable_thinking": False}},
        "chat_template_kwargs.enable_thinking",
        VALUE,
    ),
    ({"thinkgate": {"dial": 1.5}}, "thinkgate.dial", VALUE),
    ({"thinkgate": {"dail": 1}}, "thinkgate.dail", UNKNOWN),
    # The other fields.
    ({"instructions": 5}, "instructions", TYPE),
    ({"max_output_tokens": 0}, "max_output_tokens", VALUE),
    ({"max_output_tokens": "5"}, "max_output_tokens", TYPE),
    ({"max_tool_calls": 0}, "max_tool_calls", VALUE),
    ({"temperature": "hot"}, "temperature", TYPE),
    ({"temperature": True}, "temperature", TYPE),
    ({"temperature": 2.5}, "temperature", VALUE),
    ({"top_p": -0.1}, "top_p", VALUE),
    ({"top_logprobs": 21}, "top_logprobs", VALUE),
    ({"store": "yes"}, "store", TYPE),
    ({"stream": "yes"}, "stream", TYPE),
    ({"stream_options": {"include_obfuscation": False}}, "stream_options", VALUE),
    ({"stream": True, "stream_options": {"include_obfuscation": 1}}, "stream_options.include_obfuscation", TYPE),
    ({"metadata": {"a": 5}}, "metadata.a", TYPE),
    ({"metadata": {"a": "x" * 513}}, "metadata.a", "string_above_max_length"),
    ({"metadata": {"x" * 65: ""}}, "metadata", VALUE),
    ({"metadata": {str(number): "" for number in range(17)}}, "metadata", VALUE),
    ({"user": 5}, "user", TYPE),
    ({"safety_identifier": "x" * 129}, "safety_identifier", "string_above_max_length"),
    ({"prompt_cache_key": 5}, "prompt_cache_key", TYPE),
    ({"service_tier": "slow"}, "service_tier", VALUE),
    ({"truncation": "yes"}, "truncation", VALUE),
    ({"include": "thinkgate"}, "include", TYPE),
    ({"include": [5]}, "include[0]", TYPE),
    ({"include": ["thinkgate", "reasoning.encrypted"]}, "include[1]", VALUE),
    ({"previous_response_id": 5}, "previous_response_id", TYPE),
    ({"previous_response_id": NOBODY}, "previous_response_id", "previous_response_not_found"),
    ({"previous_response_id": "resp_1"}, "previous_response_id", "previous_response_not_found"),
    # Tools, and which of them.
    ({"tools": TOOL}, "tools", TYPE),
    ({"tools": ["look"]}, "tools[0]", TYPE),
    ({"tools": [{"name": "look"}]}, "tools[0].type", MISSING),
    ({"tools": [{"type": "function", "function": {"name": "look"}}]}, "tools[0].name", MISSING),
    ({"tools": [TOOL, TOOL]}, "tools[1].name", VALUE),
    ({"tools": [{**TOOL, "parameters": "none"}]}, "tools[0].parameters", TYPE),
    ({"tools": [{**TOOL, "strict": "yes"}]}, "tools[0].strict", TYPE),
    ({"tools": [{**TOOL, "description": 5}]}, "tools[0].description", TYPE),
    ({"tools": [TOOL, {"type": "web_search"}]}, "tools[1].type", UNSUPPORTED),
    ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, "tools[0].type", UNSUPPORTED),
    ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type", UNSUPPORTED),
    ({"tools": [{"type": "namespace", "name": "x", "tools": []}]}, "tools[0].type", UNSUPPORTED),
    (
        {"tools": [{"type": "custom", "name": "sql", "format": {"type": "grammar", "syntax": "lark"}}]},
        "tools[0].format.type",
        UNSUPPORTED,
    ),
    ({"tool_choice": "any", "tools": [TOOL]}, "tool_choice", VALUE),
    ({"tool_choice": 5}, "tool_choice", TYPE),
    ({"tool_choice": "required"}, "tool_choice", VALUE),
    ({"tool_choice": {"name": "look"}, "tools": [TOOL]}, "tool_choice.type", MISSING),
    ({"tool_choice": {"type": "function", "name": "see"}, "tools": [TOOL]}, "tool_choice.name", VALUE),
    ({"tool_choice": {"type": "function"}, "tools": [TOOL]}, "tool_choice.name", MISSING),
    ({"tool_choice": {"type": "web_search"}, "tools": [TOOL]}, "tool_choice.type", UNSUPPORTED),
    ({"tool_choice": {"type": "allowed_tools", "mode": "auto"}, "tools": [TOOL]}, "tool_choice.tools", MISSING),
    (
        {"tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "see"}]}, "tools": [TOOL]},
        "tool_choice.tools[0].name",
        VALUE,
    ),
    ({"parallel_tool_calls": "no"}, "parallel_tool_calls", TYPE),
    # The form of the answer.
    ({"text": "json"}, "text", TYPE),
    ({"text": {"fromat": {"type": "text"}}}, "text.fromat", UNKNOWN),
    ({"text": {"format": "json"}}, "text.format", TYPE),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type", VALUE),
    ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema", MISSING),
    ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name", MISSING),
    ({"text": {"format": {"type": "json_schema", "name": "n", "schema": 5}}}, "text.format.schema", TYPE),
    ({"text": {"verbosity": "loud"}}, "text.verbosity", VALUE),
    # What is not supported, and what has another name here.
    ({"background": True}, "background", UNSUPPORTED),
    ({"conversation": "conv_1"}, "conversation", UNSUPPORTED),
    ({"prompt": {"id": "pmpt_1"}}, "prompt", UNSUPPORTED),
    ({"context_management": [{"type": "compaction"}]}, "context_management", UNSUPPORTED),
    ({"moderation": {"model": "m"}}, "moderation", UNSUPPORTED),
    ({"image": {"context_compression": "enabled"}}, "image.context_compression", UNSUPPORTED),
    ({"n": 2}, "n", UNSUPPORTED),
    ({"messages": [HI]}, "messages", UNKNOWN),
    ({"max_tokens": 5}, "max_tokens", UNKNOWN),
    ({"response_format": {"type": "json_object"}}, "response_format", UNKNOWN),
]


def test_each_mistake_is_named_and_recorded(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    for fields, param, code, *status in CASES:
        answer = scripted_gateway.post({**ASK, **fields}, PATH)
        error = answer.json()["error"]
        told = answer.status_code, error["param"], error["code"]
        assert told == (status[0] if status else 400, param, code), (fields, error["message"])
        assert error["type"] == "invalid_request_error"
        # It speaks of the client's own fields, not of those of the chat completion that it would have become.
        assert not any(name in error["message"] for name in ("reasoning_effort ", "max_completion_tokens"))
        assert answer.headers["x-request-id"].startswith("req-")
    assert backend.requests == []
    assert scripted_gateway.post(ASK, PATH).status_code == 200
    rows = scripted_gateway.records()
    assert [row["error_code"] for row in rows] == [*(case[2] for case in CASES), None]
    assert {row["dialect"] for row in rows} == {"responses"}


def test_what_says_no_more_than_nothing_is_no_mistake(scripted_gateway: RunningGateway) -> None:
    for fields in (
        dict.fromkeys((next(iter(case[0])) for case in CASES if len(case[0]) == 1 and "input" not in case[0]), None),
        {"background": False, "context_management": [], "tools": [], "n": 1, "truncation": "auto", "include": []},
        {"tool_choice": "auto", "parallel_tool_calls": True, "image": {"context_compression": "auto"}},
        {"reasoning": {"mode": "standard", "effort": None, "summary": None}, "prompt_cache_retention": "24h"},
    ):
        answer = scripted_gateway.post({**ASK, **fields, "model": "merged"}, PATH)
        assert answer.status_code == 200, answer.text


def test_a_thought_that_was_changed_by_one_byte_is_refused(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.sdk() as client:
        answer = client.responses.create(**ASK, store=False, include=["reasoning.encrypted_content"])
        thought: Any = answer.output[0].model_dump(exclude={"content"})
        sealed = thought["encrypted_content"]
        again: Any = {"model": "merged", "input": [HI, thought, {"role": "user", "content": "and?"}]}
        client.responses.create(**again)
        thought["encrypted_content"] = sealed[:-8] + ("A" if sealed[-8] != "A" else "B") + sealed[-7:]
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(**again)
    assert refused.value.param == "input[1].encrypted_content"
