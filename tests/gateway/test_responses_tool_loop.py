"""A coding agent at work: ten turns of thought and tool calls through /v1/responses, in each way to keep its history.

Every thought must reach the backend again, byte for byte, in the message that has the calls it led to; and none where
the family wants none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import openai
import pytest

from tests.gateway.conftest import Start
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, MODEL, Connection, ScriptedBackend, delta, usage_chunk

Json = dict[str, Any]
TURNS = 10
TOOLS: Any = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}
    for name in ("read_file", "run_tests")
]
# Which thoughts a family wants back, and in which field of a message.
FAMILIES = {
    "plain": ("reasoning", True),
    "qwen3": ("reasoning", True),
    "qwen3.8": ("reasoning", True),
    "glm-4.7": ("reasoning", True),
    "gpt-oss": ("reasoning", True),
    "deepseek-v4": ("reasoning", True),
    "deepseek-v3.1": ("reasoning", False),
}


def thought(turn: int) -> str:
    """Awkward on purpose: spaces at both ends, lines of nothing, quotes, marks and letters of several bytes."""
    return f'  turn {turn}:\n\n\t"why?" <think>é 漢字 🤔\\n</think> \u2028 {"x" * turn}\n'


def message(turn: int) -> Json:
    """What the model says in its turn: one or two calls, or the answer in the end."""
    said: Json = {"role": "assistant", "content": None, "reasoning": thought(turn)}
    if turn == TURNS:
        return {**said, "content": "Done."}
    if turn % 3 == 0:
        said["content"] = f"I look at {turn}."
    names = ["read_file", "run_tests"][: 1 + turn % 2]
    said["tool_calls"] = [
        {
            "id": f"call_{turn}_{name}",
            "type": "function",
            "function": {"name": name, "arguments": f'{{"path":"{turn}"}}'},
        }
        for name in names
    ]
    return said


def output(call: str) -> str:
    return f"what {call} found\n"


async def working(connection: Connection) -> None:
    """The model: which turn it is, it sees from what it said before."""
    body = connection.request.body
    said = message(1 + sum(one["role"] == "assistant" for one in body["messages"]))
    reason = "tool_calls" if "tool_calls" in said else "stop"
    if not body.get("stream"):
        choice = {"index": 0, "message": said, "finish_reason": reason}
        await connection.answer(200, json.dumps({**ANSWER, "choices": [choice]}).encode())
        return
    await connection.begin_stream()
    await connection.event(delta(role="assistant", content=""))
    for at in range(0, len(said["reasoning"]), 7):
        await connection.event(delta(reasoning=said["reasoning"][at : at + 7]))
    if said["content"]:
        await connection.event(delta(content=said["content"]))
    for index, call in enumerate(said.get("tool_calls", ())):
        await connection.event(delta(tool_calls=[{"index": index, **call}]))
    await connection.event(delta(reason))
    await connection.event(usage_chunk())
    await connection.event("[DONE]")
    await connection.end_stream()


def conversation(field: str | None) -> list[Json]:
    """What the backend must be told in the last turn; thoughts are in this field."""
    messages: list[Json] = [{"role": "system", "content": "Code."}, {"role": "user", "content": "Fix it."}]
    for turn in range(1, TURNS):
        said = message(turn)
        told = said.pop("reasoning")
        messages.append(said if field is None else {**said, field: told})
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": output(call["id"])} for call in said["tool_calls"]
        ]
    return messages


Ask = Callable[..., Any]


def results(answer: Any) -> list[Any]:
    return [
        {"type": "function_call_output", "call_id": item.call_id, "output": output(item.call_id)}
        for item in answer.output
        if item.type == "function_call"
    ]


def by_previous_id(ask: Ask) -> Iterator[Any]:
    """The gateway keeps the history; only what is new is sent."""
    yield (answer := ask(input="Fix it."))
    while new := results(answer):
        yield (answer := ask(input=new, previous_response_id=answer.id))


def by_full_input(ask: Ask) -> Iterator[Any]:
    """The client keeps all items as they came, and the gateway nothing."""
    items: list[Any] = [{"role": "user", "content": "Fix it."}]
    yield (answer := ask(input=items, store=False))
    while new := results(answer):
        items += [*answer.output, *new]
        yield (answer := ask(input=items, store=False))


def by_dumped_input(ask: Ask) -> Iterator[Any]:
    """The same, but through JSON, with everything that the SDK's types have."""
    items: list[Any] = [{"role": "user", "content": "Fix it."}]
    yield (answer := ask(input=items, store=False))
    while new := results(answer):
        items += [item.model_dump() for item in answer.output] + new
        yield (answer := ask(input=items, store=False))


def by_sealed_thoughts(ask: Ask) -> Iterator[Any]:
    """The client keeps all items, but its thoughts only as it cannot read them."""
    items: list[Any] = [{"role": "user", "content": "Fix it."}]
    include = ["reasoning.encrypted_content"]
    yield (answer := ask(input=items, store=False, include=include))
    while new := results(answer):
        for item in answer.output:
            told = item.to_dict()
            if item.type == "reasoning":
                told = {name: told[name] for name in ("id", "type", "summary", "encrypted_content")}
            items.append(told)
        items += new
        yield (answer := ask(input=items, store=False, include=include))


def by_reference(ask: Ask) -> Iterator[Any]:
    """The client keeps ids alone."""
    items: list[Any] = [{"role": "user", "content": "Fix it."}]
    yield (answer := ask(input=items))
    while new := results(answer):
        items += [{"type": "item_reference", "id": item.id} for item in answer.output] + new
        yield (answer := ask(input=items))


WAYS = (by_previous_id, by_full_input, by_dumped_input, by_sealed_thoughts, by_reference)


@pytest.fixture
def gateway(backend: ScriptedBackend, start: Start) -> RunningGateway:
    """A model of each family."""
    backend.script = working
    return start(
        {
            "deployments": {name: {"url": backend.url, "model": MODEL, "family": name} for name in FAMILIES},
            "models": {
                name: {"deployment": name} if name != "gpt-oss" else {"think": name, "policy": THINKS}
                for name in FAMILIES
            },
        }
    )


THINKS = {"kind": "client", "floor": "low", "default_effort": "low"}


def grid() -> Iterator[Any]:
    """Every family, way and kind of answer: those two families that differ in all ways, the others in one."""
    for family, way, stream in product(FAMILIES, WAYS, (False, True)):
        quick = family in ("qwen3", "deepseek-v3.1") or (way is by_full_input and not stream)
        yield pytest.param(
            family,
            way,
            stream,
            id=f"{family}-{way.__name__}-{'stream' if stream else 'plain'}",
            marks=() if quick else pytest.mark.long,
        )


@pytest.mark.parametrize(("family", "way", "stream"), [*grid()])
def test_ten_turns(
    gateway: RunningGateway, backend: ScriptedBackend, family: str, way: Callable[[Ask], Iterator[Any]], stream: bool
) -> None:
    field, wanted = FAMILIES[family]
    with gateway.sdk() as client:
        answers = [*way(lambda **fields: _ask(client, family, stream, fields))]
    assert len(answers) == len(backend.requests) == TURNS
    assert answers[-1].output_text == "Done."
    for turn, answer in enumerate(answers, 1):
        assert answer.output[0].content[0].text == thought(turn)
    for turn, request in enumerate(backend.requests, 1):
        seen = [one.get(field) for one in request.body["messages"] if one["role"] == "assistant"]
        assert seen == [thought(before) if wanted else None for before in range(1, turn)]
    assert backend.last["messages"] == conversation(field if wanted else None)


def _ask(client: openai.OpenAI, model: str, stream: bool, fields: Json) -> Any:
    asked: Any = {"model": model, "instructions": "Code.", "tools": TOOLS, **fields}
    if not stream:
        return client.responses.create(**asked)
    with client.responses.stream(**asked) as events:
        for _ in events:
            pass
        return events.get_final_response()
