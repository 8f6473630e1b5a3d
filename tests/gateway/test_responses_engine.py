"""/v1/responses with real tokens: the official SDK in all its ways, against the embedded engine, merged and split."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from gateway.app import make_parts
from gateway.config.defaults import embedded_settings
from router_model.tasks import Prompt, verify
from tests.contract.prompts import tool_prompts
from tests.gateway import response_events
from tests.gateway.running import RunningGateway

SUM = "What is 12 + 35?"
MODELS = ("tiny", "tiny-split")
LOW: Any = {"effort": "low"}


class Verdict(BaseModel):
    answer: Literal["yes", "no"]


@pytest.fixture(scope="module")
def gateway(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    records = tmp_path_factory.mktemp("responses") / "records.db"
    with RunningGateway.of(make_parts(embedded_settings(f"{engine}/v1", records))) as running:
        yield running


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max", "auto", None])
def test_every_level_thinks_as_much_as_it_may(gateway: RunningGateway, model: str, effort: Any) -> None:
    levels = {"none": 0, "minimal": 16, "low": 32, "medium": 64, "high": 128, "xhigh": 256}
    with gateway.sdk() as client:
        answer = client.responses.create(model=model, input=SUM, reasoning={"effort": effort}, temperature=0)
    assert answer.status == "completed" and answer.output_text and answer.usage and answer.reasoning
    used = answer.usage.output_tokens_details.reasoning_tokens
    assert used <= levels.get(effort, 10_000) and (used > 0) == (answer.output[0].type == "reasoning")
    assert effort not in levels or answer.reasoning.effort == effort
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_says_what_a_whole_answer_says(gateway: RunningGateway, model: str) -> None:
    asked: Any = {"model": model, "input": SUM, "reasoning": {"effort": "medium", "summary": "auto"}, "temperature": 0}
    whole = gateway.post(asked, "/v1/responses").json()
    raw = gateway.post({**asked, "stream": True}, "/v1/responses").content
    streamed = response_events.check(response_events.read(raw))

    def told(body: Any) -> Any:
        items = [{name: value for name, value in item.items() if name != "id"} for item in body["output"]]
        return items, body["status"], body["usage"], body["reasoning"]

    assert told(whole) == told(streamed)
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message"]
    assert sum(event["type"] == "response.reasoning_text.delta" for event in response_events.read(raw)) > 3


@pytest.mark.parametrize("model", MODELS)
async def test_the_async_client_streams_and_accumulates(gateway: RunningGateway, model: str) -> None:
    async with gateway.async_sdk() as client:
        async with client.responses.stream(model=model, input=SUM, reasoning=LOW, temperature=0) as stream:
            said = [event.delta async for event in stream if event.type == "response.output_text.delta"]
            final = await stream.get_final_response()
        assert "".join(said) == final.output_text
        again = await client.responses.create(model=model, input=SUM, reasoning=LOW, temperature=0)
        assert again.output_text == final.output_text


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("effort", ["none", "low"])
def test_structured_output_is_parsed(gateway: RunningGateway, model: str, effort: Any) -> None:
    asked: Any = {"model": model, "input": "Is 7 more than 5?", "reasoning": {"effort": effort}}
    with gateway.sdk() as client:
        parsed = client.responses.parse(**asked, text_format=Verdict).output_parsed
        assert isinstance(parsed, Verdict)
        with client.responses.stream(**asked, text_format=Verdict) as stream:
            for _ in stream:
                pass
            assert isinstance(stream.get_final_response().output_parsed, Verdict)
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        form: Any = {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}}
        answer = client.responses.create(**asked, text=form, max_output_tokens=600)
        if answer.status == "completed":
            assert isinstance(json.loads(answer.output_text)["n"], int)
        assert answer.text and answer.text.format and answer.text.format.type == "json_schema"


def _right(prompt: Prompt, answer: Any) -> bool:
    calls = [item for item in answer.output if item.type == "function_call"]
    chat = [{"function": {"name": call.name, "arguments": call.arguments}} for call in calls]
    return verify(prompt, answer.output_text or None, chat) == 1


def _fields(prompt: Prompt) -> dict[str, Any]:
    tools = [{"type": "function", **tool["function"]} for tool in prompt.tools or ()]
    return {"input": prompt.messages, "tools": tools, "temperature": 0}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("effort", ["none", "medium"])
def test_a_tool_is_called_and_its_output_goes_back(gateway: RunningGateway, model: str, effort: Any) -> None:
    reasoning: Any = {"effort": effort}
    with gateway.sdk() as client:
        for prompt in tool_prompts():
            asked = {**_fields(prompt), "model": model, "reasoning": reasoning}
            answer = client.responses.create(**asked)
            if _right(prompt, answer):
                break
        else:
            raise AssertionError("the model called the right tool for no prompt")
        with client.responses.stream(**asked) as stream:
            for _ in stream:
                pass
            assert _right(prompt, stream.get_final_response())
        (call,) = (item for item in answer.output if item.type == "function_call")
        result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "It is 21."}]
        again = client.responses.create(
            model=model, input=result, tools=asked["tools"], previous_response_id=answer.id, reasoning=reasoning
        )
        assert again.status == "completed" and again.usage and answer.usage
        assert again.usage.input_tokens > answer.usage.input_tokens


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("effort", ["none", "low"])
def test_logprobs_spell_the_text_and_not_the_thought(
    gateway: RunningGateway, model: str, stream: bool, effort: Any
) -> None:
    asked: Any = {
        "model": model,
        "input": SUM,
        "reasoning": {"effort": effort},
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 3,
    }
    with gateway.sdk() as client:
        if stream:
            with client.responses.stream(**asked) as events:
                for _ in events:
                    pass
                answer: Any = events.get_final_response()
        else:
            answer = client.responses.create(**asked)
    part = answer.output[-1].content[0]
    assert "".join(one.token for one in part.logprobs) == part.text
    assert all(one.logprob <= 0 and len(one.top_logprobs) == 3 for one in part.logprobs)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_limit_holds_for_thought_and_answer_together(gateway: RunningGateway, model: str, stream: bool) -> None:
    """As the dialect says, where the client requests thinking; where the gateway decides, its thinking comes on top."""
    asked = {"model": model, "input": "Count to one hundred.", "max_output_tokens": 3, "ignore_eos": True}
    asked |= {"reasoning": LOW}
    answer = gateway.post({**asked, "stream": stream}, "/v1/responses")
    body = response_events.check(response_events.read(answer.content)) if stream else answer.json()
    assert body["status"] == "incomplete" and body["incomplete_details"] == {"reason": "max_output_tokens"}
    assert body["usage"]["output_tokens"] == 3
    assert body["output"][-1]["status"] == "incomplete"


def test_a_conversation_of_ten_turns(gateway: RunningGateway) -> None:
    """Kept by the gateway, and moved between the merged model and the split pair at each turn."""
    with gateway.sdk() as client:
        previous, tokens = None, 0
        for turn in range(10):
            answer = client.responses.create(
                model=MODELS[turn % 2], input=f"What is {turn} + 2?", previous_response_id=previous, reasoning=LOW
            )
            assert answer.status == "completed" and answer.usage
            assert answer.usage.input_tokens > tokens, "all that was said before is told again"
            previous, tokens = answer.id, answer.usage.input_tokens
        kept: list[Any] = [*client.responses.input_items.list(str(previous), order="asc")]
    said = [item for item in kept if item.type == "message"]
    assert [item.role for item in said] == ["user", "assistant"] * 9 + ["user"]
