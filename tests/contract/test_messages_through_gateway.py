"""Anthropic's Messages through the gateway, on both engines, merged and split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.contract.backend import Backend
from tests.contract.prompts import tool_prompts
from tests.gateway.running import RunningGateway

FAMILIES = {"tiny": "qwen3", "tiny-instruct": "qwen3-2507", "tiny-thinking": "qwen3-2507"}
SUM: list[Any] = [{"role": "user", "content": "What is 17 + 25?"}]
GREEDY = {"temperature": 0}
OFF, BUDGET = {"type": "disabled"}, {"type": "enabled", "budget_tokens": 60}


@pytest.fixture(scope="module")
def gateway(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    deployments = {"tiny": {"url": backend.url, "family": "qwen3"}}
    models = {"tiny": {"deployment": "tiny", "policy": {"kind": "client", "default_effort": "max"}}}
    folder: Path = tmp_path_factory.mktemp("messages")
    with RunningGateway({"deployments": deployments, "models": models}, folder) as running:
        yield running


@pytest.fixture(scope="module")
def client(gateway: RunningGateway) -> Iterator[anthropic.Anthropic]:
    with gateway.claude() as client:
        yield client


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "max_tokens": 500, "messages": SUM, "extra_body": GREEDY, **fields}


def both(client: anthropic.Anthropic, **fields: Any) -> list[Any]:
    """The plain answer and the streamed one."""
    with client.messages.stream(**asked(**fields)) as stream:
        streamed = stream.get_final_message()
    return [client.messages.create(**asked(**fields)), streamed]


@pytest.mark.parametrize(
    ("fields", "thinks"),
    [
        ({}, True),
        ({"thinking": OFF}, False),
        ({"thinking": BUDGET}, True),
        ({"thinking": {**BUDGET, "display": "omitted"}}, True),
        ({"output_config": {"effort": "low"}}, True),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, True),
    ],
)
def test_every_effort(fields: dict[str, Any], thinks: bool, client: anthropic.Anthropic) -> None:
    plain, streamed = both(client, **fields)
    for message in (plain, streamed):
        assert [block.type for block in message.content] == (["thinking", "text"] if thinks else ["text"])
        assert message.stop_reason == "end_turn" and message.usage == plain.usage
        assert message.content[-1].text.strip() and message.content[-1].text == plain.content[-1].text
        assert bool(message.usage.output_tokens_details.thinking_tokens) == thinks
    if "omitted" not in str(fields):
        assert streamed.to_dict()["content"] == plain.to_dict()["content"]


def test_a_thought_goes_round_and_reaches_the_template(client: anthropic.Anthropic, backend: Backend) -> None:
    """The template keeps thoughts of the turn that it is in: within a loop of calls."""
    message, _ = both(client, **_tool_prompt(client, BUDGET), thinking=BUDGET)
    thought = message.content[0].thinking
    result = {"type": "tool_result", "tool_use_id": message.content[-1].id, "content": "42"}
    fields = _tool_prompt(client, BUDGET)
    turns = [*fields["messages"], message.to_param(), {"role": "user", "content": [result]}]
    with_thought = client.messages.count_tokens(model="tiny", **{**fields, "messages": turns})
    turns[-2] = {"role": "assistant", "content": message.content[1:]}
    without = client.messages.count_tokens(model="tiny", **{**fields, "messages": turns})
    assert thought.strip() and with_thought.input_tokens >= without.input_tokens


@pytest.mark.parametrize("thinking", [OFF, BUDGET], ids=["off", "on"])
def test_tools(thinking: Any, client: anthropic.Anthropic) -> None:
    plain, streamed = both(client, **_tool_prompt(client, thinking), thinking=thinking)
    for message in (plain, streamed):
        assert message.stop_reason == "tool_use"
        assert [block.type for block in message.content] == [*(["thinking"] if thinking is BUDGET else []), "tool_use"]
    assert plain.content[-1].input == streamed.content[-1].input
    assert plain.content[-1].name == streamed.content[-1].name


@pytest.mark.parametrize("thinking", [OFF, BUDGET], ids=["off", "on"])
def test_a_tool_that_must_be_called(thinking: Any, client: anthropic.Anthropic) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    # Of a tool that is not strict, vLLM takes any JSON for arguments, and this model writes any.
    tools = [{"name": "pick", "strict": True, "input_schema": {**schema, "additionalProperties": False}}]
    for choice in ({"type": "any"}, {"type": "tool", "name": "pick"}):
        for message in both(client, tools=tools, tool_choice=choice, thinking=thinking):
            used = [block for block in message.content if block.type == "tool_use"]
            assert message.stop_reason == "tool_use" and used[0].input["a"] in ("x", "y")


@pytest.mark.parametrize("thinking", [OFF, BUDGET], ids=["off", "on"])
def test_structured_output_and_stops(thinking: Any, client: anthropic.Anthropic) -> None:
    schema = {"type": "object", "properties": {"right": {"enum": ["yes", "no"]}}, "required": ["right"]}
    config = {"format": {"type": "json_schema", "schema": {**schema, "additionalProperties": False}}}
    for message in both(client, output_config=config, thinking=thinking):
        assert '"right"' in message.content[-1].text
    whole = client.messages.create(**asked(thinking=thinking)).content[-1].text
    stop = whole.strip()[-1]
    for message in both(client, stop_sequences=[stop], thinking=thinking):
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", stop)
        assert message.content[-1].text == whole[: whole.index(stop)] and message.usage.output_tokens > 1


@pytest.mark.parametrize("fields", [{}, {"system": "Be brief."}, {"thinking": OFF}, {"thinking": BUDGET}])
def test_it_counts_what_the_model_then_reads(fields: dict[str, Any], client: anthropic.Anthropic) -> None:
    answer = client.messages.with_raw_response.count_tokens(model="tiny", messages=SUM, **fields)
    assert answer.headers["x-thinkgate-count"] == "exact"
    assert answer.parse().input_tokens == client.messages.create(**asked(**fields)).usage.input_tokens


def test_what_the_backend_refuses(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(**asked(max_tokens=20_000))
    assert refused.value.type == "invalid_request_error" and refused.value.request_id


def _tool_prompt(client: anthropic.Anthropic, thinking: Any) -> dict[str, Any]:
    """The first tool prompt, in Anthropic's form, that the model answers with a call."""
    for prompt in tool_prompts():
        if any(message["role"] not in ("system", "user") for message in prompt.messages):
            continue
        functions = [tool["function"] for tool in prompt.tools]
        fields: dict[str, Any] = {
            "system": "\n".join(message["content"] for message in prompt.messages if message["role"] == "system"),
            "messages": [message for message in prompt.messages if message["role"] != "system"],
            "tools": [
                {
                    "name": function["name"],
                    "description": function.get("description", ""),
                    "input_schema": function.get("parameters", {}),
                }
                for function in functions
            ],
        }
        if client.messages.create(**asked(**fields, thinking=thinking)).stop_reason == "tool_use":
            return fields
    raise AssertionError("the model called no tool")
