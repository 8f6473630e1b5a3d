"""The official SDK of Anthropic against a real model: every way to ask, merged and split, plain, streamed and async."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import anthropic
import pytest
from pydantic import BaseModel

from gateway.config.defaults import embedded_settings
from router_model.tasks import Prompt, generate, verify
from tests.gateway.running import RunningGateway

SUM = [{"role": "user", "content": "What is 17 + 25?"}]
GREEDY = {"temperature": 0}
BUDGET = {"type": "enabled", "budget_tokens": 60}
OFF = {"type": "disabled"}


@pytest.fixture(scope="module")
def gateway(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("messages")
    chosen = embedded_settings(engine, folder / "r.db", host="127.0.0.1", port=0)
    with RunningGateway(chosen.model_dump(mode="json", exclude={"records"}, exclude_none=True), folder) as running:
        yield running


@pytest.fixture(scope="module")
def client(gateway: RunningGateway) -> Iterator[anthropic.Anthropic]:
    with gateway.claude() as client:
        yield client


def asked(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 500, "messages": SUM, "extra_body": GREEDY, **fields}


def kinds(message: Any) -> list[str]:
    return [block.type for block in message.content]


@pytest.mark.parametrize("model", ["tiny", "tiny-split"])
@pytest.mark.parametrize(
    ("fields", "thinks"),
    [
        ({}, None),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": OFF}, False),
        ({"thinking": {"type": "between_tools"}}, False),
        ({"thinking": OFF, "output_config": {"effort": "high"}}, False),
        ({"thinking": BUDGET}, True),
        ({"thinking": {**BUDGET, "display": "omitted"}}, True),
        ({"output_config": {"effort": "low"}}, True),
        ({"output_config": {"effort": "max"}}, True),
        ({"thinking": BUDGET, "output_config": {"effort": "high"}}, True),
    ],
)
async def test_every_way_to_ask(
    model: str, fields: dict[str, Any], thinks: bool | None, gateway: RunningGateway, client: anthropic.Anthropic
) -> None:
    plain = client.messages.create(**asked(model, **fields))
    with client.messages.stream(**asked(model, **fields)) as stream:
        streamed = stream.get_final_message()
    async with gateway.async_claude() as other:
        later = await other.messages.create(**asked(model, **fields))
        async with other.messages.stream(**asked(model, **fields)) as stream:
            later_streamed = await stream.get_final_message()
    for message in (plain, streamed, later, later_streamed):
        assert kinds(message)[-1] == "text" and message.stop_reason == "end_turn"
        assert message.usage == plain.usage and message.usage.input_tokens > 0
        assert message.content[-1].text == plain.content[-1].text
        if thinks is not None:
            assert kinds(message) == (["thinking", "text"] if thinks else ["text"])
            # An instruct model, which has no thoughts, counts none.
            details = message.usage.output_tokens_details
            assert bool(details and details.thinking_tokens) == thinks
        if "budget_tokens" in fields.get("thinking", {}):
            assert message.usage.output_tokens_details.thinking_tokens <= 60
        if fields.get("thinking", {}).get("display") == "omitted":
            assert message.content[0].thinking == "" and message.content[0].signature
        else:
            assert [block.to_dict().get("thinking") for block in message.content] == [
                block.to_dict().get("thinking") for block in plain.content
            ]


def test_a_thought_goes_round(client: anthropic.Anthropic) -> None:
    first = client.messages.create(**asked("tiny", thinking=BUDGET))
    more = [*SUM, first.to_param(), {"role": "user", "content": "What is 3 + 4?"}]
    assert client.messages.create(**asked("tiny", messages=more, thinking=BUDGET)).content
    touched = first.to_dict()["content"]
    touched[0]["thinking"] += "!"
    more[1] = {"role": "assistant", "content": touched}
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.1\.content\.0\.signature"):
        client.messages.create(**asked("tiny", messages=more))


@pytest.mark.parametrize("thinking", [OFF, {"type": "enabled", "budget_tokens": 200}])
def test_tools(thinking: Any, client: anthropic.Anthropic) -> None:
    prompt = _callable(client, thinking)
    fields = asked("tiny", **_of(prompt), thinking=thinking)
    plain = client.messages.create(**fields)
    with client.messages.stream(**fields) as stream:
        streamed = stream.get_final_message()
    for message in (plain, streamed):
        assert message.stop_reason == "tool_use"
        assert kinds(message) == [*(["thinking"] if thinking is not OFF else []), "tool_use"]
        assert isinstance(message.content[-1].input, dict)
    assert plain.content[-1].input == streamed.content[-1].input
    result = {"type": "tool_result", "tool_use_id": plain.content[-1].id, "content": "done"}
    more = [*fields["messages"], plain.to_param(), {"role": "user", "content": [result]}]
    after = client.messages.create(**{**fields, "messages": more})
    assert after.stop_reason in ("end_turn", "tool_use", "max_tokens") and after.usage.input_tokens > 40


def test_a_tool_that_must_be_called(client: anthropic.Anthropic) -> None:
    tool = {
        "name": "add",
        "input_schema": {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]},
    }
    for choice in ({"type": "any"}, {"type": "tool", "name": "add"}):
        for thinking in (OFF, BUDGET):
            fields = asked("tiny", tools=[tool], tool_choice=choice, thinking=thinking)
            with client.messages.stream(**fields) as stream:
                messages = [client.messages.create(**fields), stream.get_final_message()]
            for message in messages:
                assert message.stop_reason == "tool_use"
                used = [block for block in message.content if block.type == "tool_use"]
                assert used and all(block.name == "add" and block.input["a"] in ("x", "y") for block in used)


class Verdict(BaseModel):
    right: Literal["yes", "no"]


@pytest.mark.parametrize("thinking", [OFF, BUDGET])
def test_structured_output(thinking: Any, client: anthropic.Anthropic) -> None:
    fields = asked("tiny", thinking=thinking, output_format=Verdict)
    parsed = client.messages.parse(**fields)
    assert isinstance(parsed.parsed_output, Verdict)
    with client.messages.stream(**fields) as stream:
        assert stream.get_final_message().parsed_output == parsed.parsed_output
    schema = {"type": "object", "properties": {"right": {"enum": ["yes", "no"]}}, "required": ["right"]}
    config = {"format": {"type": "json_schema", "schema": {**schema, "additionalProperties": False}}}
    message = client.messages.create(**asked("tiny", thinking=thinking, output_config=config))
    assert set(json.loads(message.content[-1].text)) == {"right"}


@pytest.mark.parametrize("thinking", [OFF, BUDGET])
def test_where_it_stops(thinking: Any, client: anthropic.Anthropic) -> None:
    whole = client.messages.create(**asked("tiny", thinking=thinking)).content[-1].text
    stop = whole.strip()[-1]
    fields = asked("tiny", thinking=thinking, stop_sequences=[stop])
    with client.messages.stream(**fields) as stream:
        messages = [client.messages.create(**fields), stream.get_final_message()]
    for message in messages:
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", stop)
        assert kinds(message) == (["text"] if thinking is OFF else ["thinking", "text"])
        assert message.content[-1].text == whole[: whole.index(stop)]


def test_the_limit_is_kept(client: anthropic.Anthropic) -> None:
    for stream in (False, True):
        fields = asked("tiny", max_tokens=1, thinking=OFF)
        if stream:
            with client.messages.stream(**fields) as running:
                message = running.get_final_message()
        else:
            message = client.messages.create(**fields)
        assert message.stop_reason == "max_tokens" and message.usage.output_tokens == 1


def test_a_model_without_eyes_says_so(client: anthropic.Anthropic) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    messages = [{"role": "user", "content": [{"type": "image", "source": source}]}]
    with pytest.raises(anthropic.BadRequestError, match="not a multimodal model"):
        client.messages.create(**asked("tiny", messages=messages))


def _of(prompt: Prompt) -> dict[str, Any]:
    """A prompt of the model's own kind, in Anthropic's form."""
    tools = [
        {
            "name": tool["function"]["name"],
            "description": tool["function"].get("description", ""),
            "input_schema": tool["function"].get("parameters", {"type": "object"}),
        }
        for tool in prompt.tools
    ]
    system = [message["content"] for message in prompt.messages if message["role"] == "system"]
    rest = [message for message in prompt.messages if message["role"] != "system"]
    return {"messages": rest, "tools": tools, "system": "\n".join(system)}


def _callable(client: anthropic.Anthropic, thinking: Any) -> Prompt:
    """The first tool prompt that the model answers with the right call."""
    for prompt in (prompt for prompt in generate(20_262, 400) if prompt.tools and _is_single(prompt)):
        message = client.messages.create(**asked("tiny", **_of(prompt), thinking=thinking))
        calls = [
            {"function": {"name": block.name, "arguments": json.dumps(block.input)}}
            for block in message.content
            if block.type == "tool_use"
        ]
        text = "".join(block.text for block in message.content if block.type == "text")
        if verify(prompt, text, calls) == 1:
            return prompt
    raise AssertionError("the model called the right tool for no prompt")


def _is_single(prompt: Prompt) -> bool:
    return all(message["role"] in ("system", "user") for message in prompt.messages)
