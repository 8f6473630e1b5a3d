"""/v1/responses over a scripted backend: what goes out for what is asked, what is told back, and how it can end."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.gateway import response_events
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, Connection, Script, ScriptedBackend, delta, usage_chunk

Json = dict[str, Any]
PATH = "/v1/responses"
ASK: Json = {"model": "merged", "input": "What is 2+2?"}
TOOL: Json = {
    "type": "function",
    "name": "look",
    "description": "Look it up",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    "strict": True,
}
CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at":"a"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "sql", "arguments": '{"input":"SELECT 1"}'}},
]
TOOLS = [TOOL, {"type": "custom", "name": "sql", "description": "Runs SQL"}]


def answering(finish_reason: str = "stop", logprobs: Any = None, **message: Any) -> Script:
    """A plain answer with this message, or its pieces in a stream."""

    async def script(connection: Connection) -> None:
        if not connection.request.body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": logprobs}
            await connection.answer(200, json.dumps({**ANSWER, "choices": [choice]}).encode())
            return
        await connection.begin_stream()
        for name, value in message.items():
            if name == "tool_calls":
                value = [{"index": index, **call} for index, call in enumerate(value)]
            chunk = delta(**{name: value})
            chunk["choices"][0]["logprobs"] = logprobs if name == "content" else None
            await connection.event(chunk)
        await connection.event(delta(finish_reason))
        await connection.event(usage_chunk())
        await connection.event("[DONE]")
        await connection.end_stream()

    return script


def ask(gateway: RunningGateway, stream: bool, **fields: Any) -> Json:
    """The response, whichever way; of a stream every event is checked."""
    answer = gateway.post({**ASK, **fields, "stream": stream}, PATH)
    assert answer.status_code == 200, answer.text
    if not stream:
        body: Json = answer.json()
        return body
    assert answer.headers["content-type"].startswith("text/event-stream")
    return response_events.check(response_events.read(answer.content))


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_asked_goes_out_as_a_chat_completion(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, stream: bool
) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    answer = ask(
        scripted_gateway,
        stream,
        instructions="Be brief.",
        input=[
            {"role": "developer", "content": "And kind."},
            {"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, image]},
        ],
        reasoning={"effort": "high"},
        max_output_tokens=1000,
        temperature=0.5,
        top_p=0.9,
        tools=TOOLS,
        tool_choice={"type": "function", "name": "look"},
        parallel_tool_calls=False,
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
        user="u1",
        prompt_cache_key="k1",
        metadata={"a": "b"},
        top_k=5,
        seed=7,
        store=False,
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    )
    sent = dict(backend.last)
    told = sent.pop("tools")
    assert [tool["function"]["name"] for tool in told] == ["look", "sql"]
    assert told[0] == {"type": "function", "function": {name: TOOL[name] for name in TOOL if name != "type"}}
    if stream:
        assert sent.pop("stream") is True and sent.pop("stream_options") == {"include_usage": True}
    assert sent == {
        "model": "backend-model",
        "messages": [
            {"role": "system", "content": "Be brief.\n\nAnd kind."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                ],
            },
        ],
        "chat_template_kwargs": {"enable_thinking": True},
        "thinking_token_budget": 128,
        "max_completion_tokens": 1000,
        "temperature": 0.5,
        "top_p": 0.9,
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "verbosity": "low",
        "logprobs": True,
        "top_logprobs": 2,
        "user": "u1",
        "prompt_cache_key": "k1",
        "top_k": 5,
        "seed": 7,
    }
    assert answer["temperature"] == 0.5 and answer["top_p"] == 0.9 and answer["max_output_tokens"] == 1000
    assert answer["tools"] == TOOLS and answer["tool_choice"] == {"type": "function", "name": "look"}
    assert answer["instructions"] == "Be brief." and answer["metadata"] == {"a": "b"} and answer["user"] == "u1"
    assert answer["parallel_tool_calls"] is False and answer["store"] is False and answer["model"] == "merged"
    assert answer["text"]["verbosity"] == "low" and answer["text"]["format"]["name"] == "n"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_a_thought_a_text_and_calls_are_items_in_that_order(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, stream: bool, field: str
) -> None:
    backend.script = answering("tool_calls", **{field: "hm", "content": "I look.", "tool_calls": CALLS})
    answer = ask(scripted_gateway, stream, tools=TOOLS)
    thought, message, call, custom = answer["output"]
    assert thought["content"] == [{"type": "reasoning_text", "text": "hm"}] and thought["summary"] == []
    assert "encrypted_content" not in thought
    assert (message["role"], message["content"][0]["text"]) == ("assistant", "I look.")
    assert (call["type"], call["call_id"], call["name"]) == ("function_call", "call_1", "look")
    assert call["arguments"] == '{"at":"a"}'
    assert (custom["type"], custom["call_id"], custom["input"]) == ("custom_tool_call", "call_2", "SELECT 1")
    assert [item["status"] for item in answer["output"]] == ["completed"] * 4
    assert [item["id"].partition("_")[0] for item in answer["output"]] == ["rs", "msg", "fc", "ctc"]
    assert answer["status"] == "completed" and answer["completed_at"] >= answer["created_at"]
    assert answer["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 16,
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("effort", "body", "applied"),
    [
        ({"reasoning": {"effort": "none"}}, {"enable_thinking": False}, "none"),
        ({"reasoning": {"effort": "low"}}, {"thinking_token_budget": 32}, "low"),
        ({"reasoning": {"effort": "max"}}, {"thinking_token_budget": None}, "max"),
        ({"reasoning": {"effort": "auto"}}, {}, None),
        ({}, {}, None),
        ({"reasoning_effort": "medium"}, {"thinking_token_budget": 64}, "medium"),
        ({"thinking_token_budget": 40}, {"thinking_token_budget": 40}, None),
        ({"chat_template_kwargs": {"enable_thinking": False}}, {"enable_thinking": False}, "none"),
        ({"reasoning": {"effort": "low"}, "thinking_token_budget": 20}, {"thinking_token_budget": 20}, None),
        ({"thinkgate": {"dial": 0.0}}, {}, None),
    ],
)
def test_every_way_to_name_an_effort(
    scripted_gateway: RunningGateway,
    backend: ScriptedBackend,
    effort: Json,
    body: Json,
    applied: str | None,
    stream: bool,
) -> None:
    answer = ask(scripted_gateway, stream, **effort, include=["thinkgate"])
    flat = {**backend.last, **backend.last["chat_template_kwargs"]}
    assert {name: flat.get(name) for name in body} == body
    assert "reasoning" not in backend.last and "thinkgate" not in backend.last and "include" not in backend.last
    assert applied is None or answer["reasoning"]["effort"] == applied
    account = answer["thinkgate"]
    assert account["used"] == 5 and account["deployment"] == "hybrid"
    (row,) = scripted_gateway.records()
    for name in ("requested", "decided", "applied", "used"):
        assert row[name] == account[name]
    assert (row["dialect"], row["streamed"], row["finish_reason"]) == ("responses", stream, "stop")


def test_the_header_asks_for_the_account_too(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.sdk() as client:
        answer: Any = client.responses.create(**ASK, extra_headers={"x-thinkgate-include": "thinkgate"})
        assert answer.thinkgate["used"] == 5
        assert not hasattr(client.responses.create(**ASK), "thinkgate")


def test_the_effort_in_the_response_is_the_one_that_was_applied(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    asked = {"effort": "max"}
    for model in ("bounded", "fixed"):
        answer = scripted_gateway.post({**ASK, "model": model, "reasoning": asked}, PATH)
        assert answer.json()["reasoning"]["effort"] == answer.headers["x-thinkgate-effort"] != "max"
    little = ask(scripted_gateway, False, reasoning=asked, max_output_tokens=100)["reasoning"]
    assert little["effort"] == "none", "the answer keeps its allowance"
    # A family that nothing is known of gets what the client asked.
    assert ask(scripted_gateway, False, model="plain", reasoning=asked)["reasoning"]["effort"] == "max"
    assert backend.last["reasoning_effort"] == "max"
    assert ask(scripted_gateway, False, model="plain")["reasoning"]["effort"] is None
    ask(scripted_gateway, False, model="plain", reasoning={"effort": "auto"})
    assert "reasoning_effort" not in backend.last


@pytest.mark.parametrize("stream", [False, True])
def test_a_summary_is_the_thought_itself(scripted_gateway: RunningGateway, stream: bool) -> None:
    answer = ask(scripted_gateway, stream, reasoning={"summary": "concise"})
    thought = answer["output"][0]
    assert thought["summary"] == [{"type": "summary_text", "text": "two and two"}]
    assert thought["content"] == [{"type": "reasoning_text", "text": "two and two"}]
    assert answer["reasoning"]["summary"] == "concise"


@pytest.mark.parametrize("stream", [False, True])
def test_sealed_thoughts_come_only_if_asked_for(scripted_gateway: RunningGateway, stream: bool) -> None:
    answer = ask(scripted_gateway, stream, include=["reasoning.encrypted_content"])
    sealed = answer["output"][0]["encrypted_content"]
    assert scripted_gateway.parts.seal.bound(None, "merged").open(sealed) == "two and two"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter"), ("stop", None)]
)
def test_an_answer_that_was_cut_is_incomplete(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, stream: bool, reason: str, why: str | None
) -> None:
    backend.script = answering(reason, reasoning="hm", content="fo")
    answer = ask(scripted_gateway, stream)
    assert answer["status"] == ("incomplete" if why else "completed")
    assert answer["incomplete_details"] == ({"reason": why} if why else None)
    assert [item["status"] for item in answer["output"]] == ["completed", "incomplete" if why else "completed"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_thought_that_never_ended_is_all_there_is(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, stream: bool
) -> None:
    backend.script = answering("length", reasoning="hm", content=None)
    (thought,) = ask(scripted_gateway, stream)["output"]
    assert (thought["type"], thought["status"]) == ("reasoning", "incomplete")
    backend.script = answering("stop", content="")
    (message,) = ask(scripted_gateway, stream)["output"]
    assert (message["content"][0]["text"], message["status"]) == ("", "completed")


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_a_part_of_its_own(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, stream: bool
) -> None:
    backend.script = answering(content="Well.", refusal="I will not.")
    (message,) = ask(scripted_gateway, stream)["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert message["content"][1]["refusal"] == "I will not."


@pytest.mark.parametrize("stream", [False, True])
def test_logprobs_are_those_of_the_text(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, stream: bool
) -> None:
    def token(text: str, logprob: float, **more: Any) -> Json:
        return {"token": text, "logprob": logprob, "bytes": list(text.encode()), **more}

    top = [token("fo", -0.1), token("tw", -2.0)]
    tokens = [token("fo", -0.1, top_logprobs=top), {"token": "ür", "logprob": -0.2, "bytes": None}]
    before = [] if stream else [token("hm", -0.3), token("</think>", -0.4)]
    backend.script = answering("stop", {"content": [*before, *tokens]}, reasoning="hm", content="foür")
    asked = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    part = ask(scripted_gateway, stream, **asked)["output"][1]["content"][0]
    assert [one["token"] for one in part["logprobs"]] == ["fo", "ür"]
    assert part["logprobs"][0] == tokens[0]
    assert part["logprobs"][1] == {**token("ür", -0.2), "top_logprobs": []}
    assert ask(scripted_gateway, stream)["output"][1]["content"][0]["logprobs"] == []


@pytest.mark.parametrize("stream", [False, True])
def test_space_before_a_call_is_no_message(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, stream: bool
) -> None:
    """vLLM leaves the template's empty lines in its streams, and not in its whole answers."""
    backend.script = answering("tool_calls", reasoning="hm", content="\n\n", tool_calls=CALLS[:1])
    output = ask(scripted_gateway, stream, tools=TOOLS)["output"]
    assert [item["type"] for item in output] == ["reasoning", "function_call"]
    backend.script = answering("stop", reasoning="hm", content="\n\n")
    assert ask(scripted_gateway, stream)["output"][1]["content"][0]["text"] == "\n\n"


def test_calls_without_an_id_of_their_own_get_one(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    same = [{**CALLS[0], "id": id} for id in ("a", "a", None, "")]
    backend.script = answering("tool_calls", content=None, tool_calls=same)
    calls = ask(scripted_gateway, False, tools=TOOLS)["output"]
    assert len({call["call_id"] for call in calls}) == 4 and calls[0]["call_id"] == "a"
    assert all(call["call_id"] for call in calls)


def test_allowed_tools_are_the_only_ones_told(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "sql"}]}
    answer = ask(scripted_gateway, False, tools=TOOLS, tool_choice=choice)
    assert [tool["function"]["name"] for tool in backend.last["tools"]] == ["sql"]
    assert backend.last["tool_choice"] == "required"
    assert answer["tools"] == TOOLS and answer["tool_choice"] == choice


def test_nothing_is_said_of_tools_where_there_are_none(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    ask(scripted_gateway, False, tools=[], tool_choice="auto", parallel_tool_calls=True)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(backend.last)


def test_a_configuration_update_holds_from_then_on(scripted_gateway: RunningGateway, backend: ScriptedBackend) -> None:
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    items = [
        {"role": "user", "content": "hi"},
        {"type": "configuration_update", "reasoning": {"effort": "low"}},
        {"type": "configuration_update", "reasoning": {"effort": "high"}, "text": {"format": schema}},
    ]
    first = ask(scripted_gateway, False, input=items, reasoning={"effort": "none"})
    assert first["reasoning"]["effort"] != "none"
    for _ in range(2):
        assert backend.last["thinking_token_budget"] == 128
        assert backend.last["response_format"]["json_schema"]["strict"] is True
        ask(scripted_gateway, False, previous_response_id=first["id"])


@pytest.mark.parametrize("context", [None, "auto", "current_turn", "all_turns"])
def test_the_context_says_which_thoughts_went_along(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, context: str | None
) -> None:
    for model, kept in (("merged", False), ("plain", context != "current_turn")):
        items = [
            {"role": "user", "content": "one"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
            {"role": "assistant", "content": "1"},
            {"role": "user", "content": "two"},
        ]
        answer = ask(scripted_gateway, False, model=model, input=items, reasoning={"context": context})
        assert answer["reasoning"]["context"] == ("all_turns" if kept else "current_turn")
        assert ("reasoning" in backend.last["messages"][1]) == kept


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (None, "without a message"),
        ({"content": 5}, "content"),
        ({"reasoning": ["a"]}, "reasoning"),
        ({"content": None, "tool_calls": {}}, "tool call"),
        ({"content": None, "tool_calls": [{"id": "c"}]}, "tool call"),
        ({"content": None, "tool_calls": [{"id": "c", "function": {"arguments": "{}"}}]}, "tool call"),
        ({"content": None, "tool_calls": [{"index": "0", "function": {"name": "look"}}]}, "tool call"),
    ],
)
def test_a_backend_that_makes_no_sense_is_an_error_of_its_own(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, message: Any, what: str
) -> None:
    async def script(connection: Connection) -> None:
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        await connection.answer(200, json.dumps({**ANSWER, "choices": [choice]}).encode())

    backend.script = script
    answer = scripted_gateway.post(ASK, PATH)
    assert answer.status_code == 502 and what in answer.json()["error"]["message"]
    (row,) = scripted_gateway.records()
    assert (row["status"], row["error_code"]) == (502, "backend_error")


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_backend_refuses_is_told_in_its_words(
    scripted_gateway: RunningGateway, backend: ScriptedBackend, stream: bool
) -> None:
    said = {"message": "too long", "type": "BadRequestError", "param": "max_completion_tokens", "code": 400}

    async def refusing(connection: Connection) -> None:
        await connection.answer(400, json.dumps({"error": said}).encode())

    backend.script = refusing
    with scripted_gateway.sdk() as client, pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**ASK, stream=stream)
    assert refused.value.body == {**said, "param": "max_output_tokens"}, "but for the client's name of the field"


def test_a_stream_that_breaks_says_so_and_is_not_kept(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async def breaking(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.event(delta(reasoning="two"))
        await connection.event(delta(content="fo"))
        await connection.end_stream()

    backend.script = breaking
    answer = scripted_gateway.post({**ASK, "stream": True}, PATH)
    events = response_events.read(answer.content)
    error, failed = events[-2:]
    assert (error["type"], error["code"], error["param"]) == ("error", "stream_cut", None)
    body = failed["response"]
    assert (failed["type"], body["status"], body["error"]["code"]) == ("response.failed", "failed", "server_error")
    assert [item["status"] for item in body["output"]] == ["completed", "incomplete"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert scripted_gateway.get(f"{PATH}/{body['id']}").status_code == 404
    (row,) = scripted_gateway.records()
    assert (row["status"], row["error_code"]) == (502, "stream_cut")


def test_an_error_in_the_stream_is_told_with_its_kind(
    scripted_gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async def failing(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.event(delta(content="fo"))
        await connection.event({"error": {"message": "slow down", "code": 429}})
        await connection.end_stream()

    backend.script = failing
    events = response_events.read(scripted_gateway.post({**ASK, "stream": True}, PATH).content)
    assert events[-2]["message"] == "slow down"
    assert events[-1]["response"]["error"] == {"code": "rate_limit_exceeded", "message": "slow down"}


def test_the_conversation_stays_in_one_arm(backend: ScriptedBackend, start: Start) -> None:
    """Its first response is what an experiment assigns by, if neither a conversation nor a user is named."""
    chosen = table(backend.url)
    arms = {name: {"deployment": name} for name in ("hybrid", "other")}
    gateway = start({**chosen, "models": {"merged": {"arms": arms}}})
    first = None
    for _ in range(6):
        answer = ask(gateway, False, previous_response_id=first)
        first = answer["id"] if first is None or len(backend.requests) % 2 else first
    ask(gateway, False, user="u1")
    ask(gateway, False, user="u1")
    rows = gateway.records()
    assert len({row["unit"] for row in rows[:6]}) == len({row["arm"] for row in rows[:6]}) == 1
    assert rows[6]["unit"] == rows[7]["unit"] != rows[0]["unit"]


def test_flex_can_wait(scripted_gateway: RunningGateway) -> None:
    assert ask(scripted_gateway, False, service_tier="flex")["service_tier"] == "flex"
    assert ask(scripted_gateway, False)["service_tier"] == "default"
