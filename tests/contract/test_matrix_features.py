"""What else a request may ask for, with thinking and without, in each dialect that has it, on both engines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import anthropic
import openai
import pytest

from tests.contract.matrix import MODELS, together
from tests.gateway.running import RunningGateway

SUM = [{"role": "user", "content": "What is 12 + 35?"}]
LIMIT, BUDGET = 400, 40
SCHEMA = {
    "type": "object",
    "properties": {"right": {"enum": ["yes", "no"]}},
    "required": ["right"],
    "additionalProperties": False,
}
DIALECTS = ("chat", "responses", "messages")
BOTH_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
THINKING = pytest.mark.parametrize("thinks", [False, True], ids=["quiet", "thinking"])


class Way(NamedTuple):
    """One of the ways to ask for the same."""

    model: str
    thinks: bool
    stream: bool


WAYS = [Way(*way) for way in product(MODELS, (False, True), (False, True))]


@dataclass(frozen=True)
class Got:
    """An answer in whatever dialect: `calls` are names and arguments, `used` thinking tokens."""

    text: str
    thought: str
    ended: str
    calls: list[tuple[str, Any]]
    used: int


@dataclass(frozen=True)
class Clients:
    openai: openai.OpenAI
    anthropic: anthropic.Anthropic

    def ask(self, dialect: str, thinks: bool, stream: bool, model: str = "tiny", **fields: Any) -> Got:
        """`fields` are in the dialect's own words."""
        got: Got = getattr(self, f"_{dialect}")(thinks, stream, {"model": model, **fields})
        assert (got.used > 0) == thinks == bool(got.thought) and got.used <= BUDGET
        return got

    def _chat(self, thinks: bool, stream: bool, fields: dict[str, Any]) -> Got:
        effort = {"thinking_token_budget": BUDGET if thinks else 0}
        asked: Any = {"messages": SUM, "temperature": 0, "max_tokens": LIMIT, "extra_body": effort, **fields}
        if stream:
            with self.openai.chat.completions.stream(**asked, stream_options={"include_usage": True}) as running:
                for _ in running:
                    pass
                answer: Any = running.get_final_completion()
        else:
            answer = self.openai.chat.completions.create(**asked)
        message = answer.choices[0].message
        details = answer.usage.completion_tokens_details
        return Got(
            text=message.content or "",
            thought=getattr(message, "reasoning", None) or "",
            ended=answer.choices[0].finish_reason,
            calls=[(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()],
            used=(details.reasoning_tokens or 0) if details else 0,
        )

    def _responses(self, thinks: bool, stream: bool, fields: dict[str, Any]) -> Got:
        effort = {"reasoning": {"effort": "low" if thinks else "none"}}
        asked: Any = {"input": SUM, "temperature": 0, "max_output_tokens": LIMIT, **effort, **fields}
        if stream:
            with self.openai.responses.stream(**asked) as running:
                for _ in running:
                    pass
                answer: Any = running.get_final_response()
        else:
            answer = self.openai.responses.create(**asked)
        items = answer.output
        return Got(
            text=answer.output_text,
            thought="".join(part.text for item in items if item.type == "reasoning" for part in item.content or ()),
            ended=answer.status,
            calls=[(item.name, json.loads(item.arguments)) for item in items if item.type == "function_call"],
            used=answer.usage.output_tokens_details.reasoning_tokens,
        )

    def _messages(self, thinks: bool, stream: bool, fields: dict[str, Any]) -> Got:
        on: Any = {"type": "enabled", "budget_tokens": BUDGET}
        thinking: Any = on if thinks else {"type": "disabled"}
        asked: Any = {"messages": SUM, "max_tokens": LIMIT, "thinking": thinking, **fields}
        asked["extra_body"] = {"temperature": 0}
        if stream:
            with self.anthropic.messages.stream(**asked) as running:
                message: Any = running.get_final_message()
        else:
            message = self.anthropic.messages.create(**asked)
        details = message.usage.output_tokens_details
        return Got(
            text="".join(block.text for block in message.content if block.type == "text"),
            thought="".join(block.thinking for block in message.content if block.type == "thinking"),
            ended=message.stop_reason,
            calls=[(block.name, block.input) for block in message.content if block.type == "tool_use"],
            used=details.thinking_tokens if details else 0,
        )


@pytest.fixture(scope="module")
def clients(gateway: RunningGateway) -> Iterator[Clients]:
    with gateway.sdk() as one, gateway.claude() as other:
        yield Clients(one, other)


FORMATS: dict[str, dict[str, Any]] = {
    "chat": {"response_format": {"type": "json_schema", "json_schema": {"name": "verdict", "schema": SCHEMA}}},
    "responses": {"text": {"format": {"type": "json_schema", "name": "verdict", "schema": SCHEMA}}},
    "messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_structured_output(clients: Clients, dialect: str) -> None:
    def ask(way: Way) -> None:
        got = clients.ask(dialect, way.thinks, way.stream, way.model, **FORMATS[dialect])
        assert json.loads(got.text)["right"] in ("yes", "no")

    together(WAYS, ask)


# Only arguments of strict tools are held to their schema by vLLM.
TOOLS: dict[str, dict[str, Any]] = {
    "chat": {
        "tools": [{"type": "function", "function": {"name": "judge", "strict": True, "parameters": SCHEMA}}],
        "tool_choice": "required",
    },
    "responses": {
        "tools": [{"type": "function", "name": "judge", "parameters": SCHEMA, "strict": True}],
        "tool_choice": "required",
    },
    "messages": {"tools": [{"name": "judge", "strict": True, "input_schema": SCHEMA}], "tool_choice": {"type": "any"}},
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_tool_that_must_be_called(clients: Clients, dialect: str) -> None:
    def ask(way: Way) -> None:
        got = clients.ask(dialect, way.thinks, way.stream, way.model, **TOOLS[dialect])
        assert got.calls and all(name == "judge" and sent["right"] in ("yes", "no") for name, sent in got.calls)
        assert got.ended in ("tool_calls", "stop", "completed", "tool_use")

    together(WAYS, ask)


@BOTH_WAYS
@THINKING
@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_where_it_stops(clients: Clients, dialect: str, thinks: bool, stream: bool) -> None:
    whole = clients.ask(dialect, thinks, False)
    stop = whole.text.strip()[-1]
    got = clients.ask(dialect, thinks, stream, **{"stop" if dialect == "chat" else "stop_sequences": [stop]})
    # The thought may have it, too: then all ends there, as it does at any engine.
    assert stop not in got.text and (whole.text.startswith(got.text) or not got.text)
    assert got.ended in ("stop", "stop_sequence")


@BOTH_WAYS
@THINKING
def test_logprobs_in_chat(clients: Clients, thinks: bool, stream: bool) -> None:
    asked: Any = {"model": "tiny", "messages": SUM, "temperature": 0, "logprobs": True, "top_logprobs": 2}
    asked["extra_body"] = {"thinking_token_budget": BUDGET if thinks else 0}
    if stream:
        with clients.openai.chat.completions.stream(**asked) as running:
            for _ in running:
                pass
            answer: Any = running.get_final_completion()
    else:
        answer = clients.openai.chat.completions.create(**asked)
    (choice,) = answer.choices
    spelled = "".join(one.token for one in choice.logprobs.content)
    # Engines give them for all that was written, the thought with its marks included.
    assert spelled.replace("<|im_end|>", "").rstrip().endswith(choice.message.content.rstrip())
    assert all(one.logprob <= 0 and len(one.top_logprobs) == 2 for one in choice.logprobs.content)


@BOTH_WAYS
@THINKING
def test_logprobs_in_responses(clients: Clients, thinks: bool, stream: bool) -> None:
    asked: Any = {"model": "tiny", "input": SUM, "temperature": 0, "include": ["message.output_text.logprobs"]}
    asked |= {"reasoning": {"effort": "low" if thinks else "none"}, "top_logprobs": 2}
    if stream:
        with clients.openai.responses.stream(**asked) as running:
            for _ in running:
                pass
            answer: Any = running.get_final_response()
    else:
        answer = clients.openai.responses.create(**asked)
    part = answer.output[-1].content[0]
    assert "".join(one.token for one in part.logprobs) == part.text
    assert all(one.logprob <= 0 and len(one.top_logprobs) == 2 for one in part.logprobs)


@THINKING
@pytest.mark.parametrize("model", MODELS)
def test_several_answers_each_within_the_budget(clients: Clients, model: str, thinks: bool) -> None:
    asked: Any = {"model": model, "messages": SUM, "n": 3, "temperature": 1, "seed": 5}
    body = {"thinking_token_budget": BUDGET if thinks else 0, "include": ["thinkgate"]}
    answer = clients.openai.chat.completions.create(**asked, extra_body=body)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert all(choice.message.content for choice in answer.choices)
    details = answer.usage.completion_tokens_details if answer.usage else None
    used = (details.reasoning_tokens or 0) if details else 0
    assert (used > 0) == thinks and used <= 3 * BUDGET
    account: Any = answer.thinkgate  # type: ignore[attr-defined]
    assert account["verdict"] == "within" and account["used"] == used


IMAGES: dict[str, Any] = {
    "chat": {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    "responses": {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"},
    "messages": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_model_without_eyes_says_so_in_each_dialect(clients: Clients, dialect: str) -> None:
    """The picture reached it: the words are the engine's."""
    turn = [{"role": "user", "content": [IMAGES[dialect]]}]
    field = "input" if dialect == "responses" else "messages"
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError), match="multimodal"):
        clients.ask(dialect, False, False, **{field: turn})
