"""What of a Messages request reaches the backend, and how the backend's answer comes back as a message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.anthropics import ASK, HI, TOOL, answering, ask, call, events, streaming
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, ScriptedBackend, delta, sse

PNG = {"type": "base64", "media_type": "image/png", "data": "aGk="}
FUNCTION = {"name": "look", "description": "Looks at a thing", "parameters": TOOL["input_schema"]}


def sent(backend: ScriptedBackend) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = backend.last["messages"]
    return messages


def says(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def test_the_simplest_request(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    answer = ask(scripted_gateway, model="plain")
    assert backend.last == {"model": "backend-model", "messages": HI, "max_tokens": 5000}
    body = answer.json()
    assert body.pop("id").startswith("msg_")
    signature = body["content"][0].pop("signature")
    assert len(signature) == 68
    assert body == {
        "type": "message",
        "role": "assistant",
        "model": "plain",
        "content": [{"type": "thinking", "thinking": "two and two"}, {"type": "text", "text": "four"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {"input_tokens": 7, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 5}},
    }


def test_everything_that_goes_beside_the_conversation(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    answer = ask(
        scripted_gateway,
        model="plain",
        system="Be brief.",
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["END", "\n\n"],
        tools=[{**TOOL, "cache_control": {"type": "ephemeral"}}, {"name": "b", "type": "custom", "input_schema": {}}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        output_config={"format": {"type": "json_schema", "schema": schema}},
        metadata={"user_id": "u1"},
        service_tier="standard_only",
        speed="standard",
        cache_control={"type": "ephemeral"},
        diagnostics={"previous_message_id": None},
        container=None,
    )
    assert "ignored" not in answer.headers["x-thinkgate-note"]
    assert backend.last == {
        "model": "backend-model",
        "messages": [{"role": "system", "content": "Be brief."}, *HI],
        "max_tokens": 5000,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "stop": ["END", "\n\n"],
        "tools": [
            {"type": "function", "function": FUNCTION},
            {"type": "function", "function": {"name": "b", "parameters": {"type": "object"}}},
        ],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}},
    }


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "look"}, {"type": "function", "function": {"name": "look"}}),
    ],
)
def test_the_choice_of_tools(
    choice: Any, told: Any, scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    assert ask(scripted_gateway, tools=[TOOL], tool_choice=choice).status_code == 200
    assert backend.last["tool_choice"] == told and "parallel_tool_calls" not in backend.last


def test_what_is_not_known_is_ignored_aloud(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    config = {"effort": "high", "task_budget": {"type": "tokens", "total": 5}}
    fields = {"context_management": {"edits": []}, "of_tomorrow": 1, "output_config": config, "\r\nodd: x": 1}
    answer = ask(scripted_gateway, **fields)
    told = "ignored: context_management, of_tomorrow, output_config.task_budget"
    assert told in answer.headers["x-thinkgate-note"]
    assert "odd" not in answer.headers["x-thinkgate-note"]
    assert "context_management" not in backend.last
    assert scripted_gateway.records()[0]["notes"].startswith("ignored: ")


def test_system_prompts(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    blocks = [
        {"type": "text", "text": "x-anthropic-billing-header: cch=1a2b;"},
        {"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "two"},
    ]
    assert ask(scripted_gateway, system=blocks).status_code == 200
    assert sent(backend) == [{"role": "system", "content": "one\ntwo"}, *HI]
    for nothing in ("", [], None):
        ask(scripted_gateway, system=nothing)
        assert sent(backend) == HI
    # A word of the operator's in the middle of the conversation stays where it is.
    for content in ("now", [{"type": "text", "text": "now"}]):
        middle = [*HI, {"role": "system", "content": content}, {"role": "user", "content": "go"}]
        ask(scripted_gateway, messages=middle)
        assert sent(backend) == [*HI, {"role": "system", "content": "now"}, {"role": "user", "content": "go"}]


def test_what_users_say(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    linked = {"type": "image_url", "image_url": {"url": "http://x/y.png"}}
    text = {"type": "text", "text": "see"}
    for blocks, content in (
        ([text], "see"),
        ([text, {"type": "image", "source": PNG}], [text, image]),
        ([{"type": "image", "source": {"type": "url", "url": "http://x/y.png"}}], [linked]),
        ([{"type": "text", "text": ""}, text, text], [text, text]),
        (
            [
                {
                    "type": "document",
                    "title": 'T "1"',
                    "context": "of <me>",
                    "source": {"type": "text", "media_type": "text/plain", "data": "long"},
                }
            ],
            [
                {"type": "text", "text": "<document title='T \"1\"'>\n<context>of &lt;me&gt;</context>"},
                {"type": "text", "text": "long"},
                {"type": "text", "text": "</document>"},
            ],
        ),
        (
            [{"type": "document", "source": {"type": "content", "content": [text, {"type": "image", "source": PNG}]}}],
            [{"type": "text", "text": "<document>"}, text, image, {"type": "text", "text": "</document>"}],
        ),
        (
            [{"type": "search_result", "title": "T", "source": "S", "content": [text]}],
            [
                {"type": "text", "text": '<search_result title="T" source="S">'},
                text,
                {"type": "text", "text": "</search_result>"},
            ],
        ),
    ):
        assert ask(scripted_gateway, **says(*blocks)).status_code == 200
        assert sent(backend) == [{"role": "user", "content": content}]


def test_turns_of_one_role_are_one_turn(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    turns = [
        *HI,
        {"role": "user", "content": "there"},
        {"role": "assistant", "content": "he"},
        {"role": "assistant", "content": [{"type": "text", "text": "llo"}]},
        *HI,
    ]
    ask(scripted_gateway, messages=turns)
    parts = [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]
    assert sent(backend) == [{"role": "user", "content": parts}, {"role": "assistant", "content": "hello"}, *HI]


def test_calls_and_their_results(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    uses = [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "a", "name": "look", "input": {"at": "é"}},
        {"type": "tool_use", "id": "b", "name": "look", "input": {}},
        {"type": "tool_use", "id": "c", "name": "look", "input": {}},
    ]
    results = [
        {"type": "tool_result", "tool_use_id": "b", "content": "second"},
        {
            "type": "tool_result",
            "tool_use_id": "a",
            "is_error": True,
            "content": [
                {"type": "text", "text": "first"},
                {"type": "image", "source": PNG},
                {"type": "tool_reference", "tool_name": "other"},
            ],
        },
        {"type": "tool_result", "tool_use_id": "c", "is_error": True},
        {"type": "text", "text": "and?"},
    ]
    ask(scripted_gateway, messages=[*HI, {"role": "assistant", "content": uses}, {"role": "user", "content": results}])
    assert sent(backend) == [
        *HI,
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"at": "é"}'}},
                {"id": "b", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "b", "content": "second"},
        {"role": "tool", "tool_call_id": "a", "content": "Error: first\nother"},
        {"role": "tool", "tool_call_id": "c", "content": "Error"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                {"type": "text", "text": "and?"},
            ],
        },
    ]


# What a backend answers, plain and in pieces; then the blocks of the message and why it stopped.
ANSWERS: list[tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]], tuple[str, str | None]]] = [
    (
        {"content": "four"},
        [{"role": "assistant", "content": ""}, {"content": "fo"}, {"content": "ur"}],
        [{"type": "text", "text": "four"}],
        ("end_turn", None),
    ),
    (
        {"content": "", "reasoning_content": "hm"},
        [{"reasoning_content": "h"}, {"reasoning_content": "m", "content": ""}],
        [{"type": "thinking", "thinking": "hm"}],
        ("end_turn", None),
    ),
    ({"content": None}, [], [{"type": "text", "text": ""}], ("end_turn", None)),
    (
        {"content": "\n", "reasoning": "hm"},
        [{"reasoning": "hm"}, {"content": "\n"}],
        [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "\n"}],
        ("end_turn", None),
    ),
    (
        {"content": "\n\nso", "reasoning": "hm"},
        [{"reasoning": "hm"}, {"content": "\n\n"}, {"content": "so"}],
        [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "\n\nso"}],
        ("end_turn", None),
    ),
    (
        {"content": "\n", "reasoning": "hm", "tool_calls": [call("look", '{"at": "x"}')]},
        [
            {"reasoning": "hm"},
            {"content": "\n"},
            {"tool_calls": [call("look", "")]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"at": '}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '"x"}'}}]},
        ],
        [
            {"type": "thinking", "thinking": "hm"},
            {"type": "tool_use", "id": "call-1", "name": "look", "input": {"at": "x"}},
        ],
        ("tool_use", None),
    ),
    (
        {"content": "both", "tool_calls": [call("a", ""), call("b", "{}", "call-2", 1)]},
        [
            {"content": "both"},
            {"tool_calls": [call("a", ""), call("b", "{}", "call-2", 1)]},
            {"tool_calls": [{"index": 0, "function": {"arguments": ""}}]},
        ],
        [
            {"type": "text", "text": "both"},
            {"type": "tool_use", "id": "call-1", "name": "a", "input": {}},
            {"type": "tool_use", "id": "call-2", "name": "b", "input": {}},
        ],
        ("tool_use", None),
    ),
    ({"content": None, "refusal": "no"}, [{"refusal": "no"}], [{"type": "text", "text": "no"}], ("end_turn", None)),
]


def _unsigned(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in block.items() if name != "signature"} for block in blocks]


@pytest.mark.parametrize("index", range(len(ANSWERS)))
def test_the_backends_answer_becomes_a_message(
    index: int, scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    plain, pieces, blocks, (stop_reason, stop_sequence) = ANSWERS[index]
    backend.script = answering(**plain)
    body = ask(scripted_gateway).json()
    assert _unsigned(body["content"]) == blocks
    assert (body["stop_reason"], body["stop_sequence"]) == (stop_reason, stop_sequence)
    backend.script = streaming(*pieces)
    with scripted_gateway.claude() as client, client.messages.stream(**ASK) as stream:
        message = stream.get_final_message()
    assert _unsigned([block.to_dict() for block in message.content]) == blocks
    assert (message.stop_reason, message.stop_sequence) == (stop_reason, stop_sequence)
    assert message.usage.to_dict() == body["usage"]


@pytest.mark.parametrize(
    ("finish", "met", "reason", "sequence"),
    [
        ("stop", None, "end_turn", None),
        ("stop", "END", "stop_sequence", "END"),
        ("stop", 151645, "end_turn", None),
        ("length", None, "max_tokens", None),
        ("length", "END", "max_tokens", None),
        ("content_filter", None, "refusal", None),
        ("repetition", None, "end_turn", None),
    ],
)
def test_why_it_stopped(
    finish: str, met: Any, reason: str, sequence: str | None, scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    backend.script = answering(finish, met, content="so")
    plain = ask(scripted_gateway).json()
    backend.script = streaming({"content": "so"}, finish_reason=finish, stop_reason=met)
    streamed = events(ask(scripted_gateway, stream=True))[-2]["delta"]
    for told in (plain, streamed):
        assert (told["stop_reason"], told["stop_sequence"]) == (reason, sequence)
        assert told["stop_details"] == ({**REFUSED} if reason == "refusal" else None)


REFUSED = {"type": "refusal", "category": None, "explanation": None}


def test_the_events_of_a_stream_in_order(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    backend.script = streaming(
        {"role": "assistant", "content": ""},
        {"reasoning": "h"},
        {"reasoning": "m"},
        {"content": "so"},
        {"tool_calls": [call("look", '{"at":')]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"x"}'}}]},
        {"tool_calls": [call("look", "{}", "call-2", 1)]},
        finish_reason="tool_calls",
    )
    told = events(ask(scripted_gateway, stream=True, include=["thinkgate"]))
    signature = next(event["delta"]["signature"] for event in told if "signature" in event.get("delta", {}))
    (start,) = [event["message"] for event in told if event["type"] == "message_start"]
    assert start["content"] == [] and start["stop_reason"] is None and start["usage"]["input_tokens"] == 0
    assert start["model"] == "merged" and start["role"] == "assistant" and start["id"].startswith("msg_")

    def begin(index: int, **block: Any) -> dict[str, Any]:
        return {"type": "content_block_start", "index": index, "content_block": block}

    def piece(index: int, **delta: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": delta}

    def end(index: int) -> dict[str, Any]:
        return {"type": "content_block_stop", "index": index}

    assert told[1:-2] == [
        {"type": "ping"},
        begin(0, type="thinking", thinking="", signature=""),
        piece(0, type="thinking_delta", thinking="h"),
        piece(0, type="thinking_delta", thinking="m"),
        piece(0, type="signature_delta", signature=signature),
        end(0),
        begin(1, type="text", text=""),
        piece(1, type="text_delta", text="so"),
        end(1),
        begin(2, type="tool_use", id="call-1", name="look", input={}),
        piece(2, type="input_json_delta", partial_json='{"at":'),
        piece(2, type="input_json_delta", partial_json='"x"}'),
        end(2),
        begin(3, type="tool_use", id="call-2", name="look", input={}),
        piece(3, type="input_json_delta", partial_json="{}"),
        end(3),
    ]
    assert told[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None, "stop_details": None}
    usage = {"input_tokens": 7, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 5}}
    assert told[-2]["usage"] == usage and told[-2]["thinkgate"]["used"] == 5
    assert told[-1] == {"type": "message_stop"}


def test_what_is_said_beside_a_call_waits_for_its_end(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    backend.script = streaming(
        {"tool_calls": [call("look", '{"at":')]},
        {"content": " aside "},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"x"}'}}]},
        {"content": "\n"},
        finish_reason="tool_calls",
    )
    with scripted_gateway.claude() as client, client.messages.stream(**ASK) as stream:
        used, text = stream.get_final_message().content
    assert used.to_dict()["input"] == {"at": "x"} and text.to_dict()["text"] == " aside \n"


def test_thoughts_in_between(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    backend.script = streaming({"reasoning": "a"}, {"content": "1"}, {"reasoning": "b"}, {"content": "2"})
    with scripted_gateway.claude() as client, client.messages.stream(**ASK) as stream:
        kinds = [block.type for block in stream.get_final_message().content]
    assert kinds == ["thinking", "text", "thinking", "text"]


def test_calls_that_are_broken_are_the_backends_fault(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    for arguments in ("[1]", '{"at": ', "nonsense"):
        backend.script = answering("tool_calls", tool_calls=[call("look", arguments)])
        error = ask(scripted_gateway).json()["error"]
        assert (error["type"], error["code"]) == ("api_error", "invalid_tool_call")
    # One that the limit cut short is given as far as it came.
    backend.script = answering("length", tool_calls=[call("look", '{"at": "x", "of')])
    body = ask(scripted_gateway).json()
    assert body["stop_reason"] == "max_tokens" and body["content"][0]["input"] == {"at": "x"}
    backend.script = streaming({"tool_calls": [call("look", '{"at": "x", "of')]}, finish_reason="length")
    with scripted_gateway.claude() as client, client.messages.stream(**ASK) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "max_tokens" and message.content[0].to_dict()["input"] == {"at": "x"}
    for pieces in (
        [{"tool_calls": [call("look", '"so"')]}],
        [{"tool_calls": [call("look", '{"at": ')]}],
        [{"tool_calls": [call("look", "{"), call("look", "{}", "call-2", 1)]}],
        [{"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}],
        [
            {"tool_calls": [call("a", "{")]},
            {"tool_calls": [call("b", "{", "call-2", 1)]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        ],
    ):
        backend.script = streaming(*pieces, finish_reason="tool_calls")
        answer = ask(scripted_gateway, stream=True)
        last = events(answer)[-1] if answer.status_code == 200 else answer.json()
        assert last["type"] == "error" and last["error"]["code"] == "invalid_tool_call"


def test_calls_without_an_id_get_one(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    bare = {"type": "function", "function": {"name": "look", "arguments": "{}"}}
    backend.script = answering("tool_calls", tool_calls=[bare, bare])
    ids = [block["id"] for block in ask(scripted_gateway).json()["content"]]
    backend.script = streaming({"tool_calls": [bare]}, {"tool_calls": [bare]}, finish_reason="tool_calls")
    with scripted_gateway.claude() as client, client.messages.stream(**ASK) as stream:
        ids += [block.to_dict()["id"] for block in stream.get_final_message().content]
    assert len(set(ids)) == 4 and all(str(id).startswith("toolu_") for id in ids)


def test_calls_that_all_have_the_same_index(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    backend.script = streaming(
        {"tool_calls": [call("a", '{"x":')]},
        {"tool_calls": [{"index": 0, "id": "call-1", "function": {"name": "a", "arguments": "1}"}}]},
        {"tool_calls": [call("b", "{}", "call-2")]},
        finish_reason="tool_calls",
    )
    with scripted_gateway.claude() as client, client.messages.stream(**ASK) as stream:
        used = [block.to_dict() for block in stream.get_final_message().content]
    assert [(block["id"], block["input"]) for block in used] == [("call-1", {"x": 1}), ("call-2", {})]


def test_what_was_read_from_a_cache(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 64}}

    async def script(connection: Connection) -> None:
        choice = {"index": 0, "message": {"role": "assistant", "content": "so"}, "finish_reason": "stop"}
        body = {"model": "m", "choices": [choice], "usage": usage}
        await connection.answer(200, json.dumps(body).encode())

    backend.script = script
    told = ask(scripted_gateway).json()["usage"]
    assert told == {"input_tokens": 36, "cache_read_input_tokens": 64, "output_tokens": 3}


def test_a_stream_that_breaks_ends_in_an_error(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    async def script(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.event(delta(reasoning="h"))
        await connection.chunk(sse({"error": {"message": "out of memory", "code": 507}}))
        await connection.end_stream()

    backend.script = script
    answer = ask(scripted_gateway, stream=True)
    last = events(answer)[-1]
    assert last["type"] == "error" and last["request_id"] == answer.headers["request-id"]
    assert (last["error"]["type"], last["error"]["message"]) == ("api_error", "out of memory")
    assert scripted_gateway.records()[0]["status"] == 507


def test_a_stream_that_never_begins_is_a_plain_error(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async def script(connection: Connection) -> None:
        await connection.answer(503, b'{"error": {"message": "full", "type": "overloaded"}}', {"retry-after": "7"})

    backend.script = script
    answer = ask(scripted_gateway, stream=True)
    assert answer.status_code == 503 and answer.headers["retry-after"] == "7"
    assert answer.json()["error"]["type"] == "overloaded_error" and answer.json()["error"]["message"] == "full"
