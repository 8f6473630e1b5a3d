"""Signs that an answer was no use: which are outcomes, of which request, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.answer import AnswerContent, CalledTool
from gateway.core.call import Call
from gateway.execution.implicit_signals import MOST_CALLS, MOST_CONVERSATIONS, ImplicitSignals
from gateway.storage.protocol import RecordIdentity
from tests.gateway.anthropics import MESSAGES
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, Connection, ScriptedBackend
from tests.gateway.test_feedback import outcomes
from tests.gateway.test_verification import CHAT, RESPONSES

QUESTION = "What is the capital of France?"
TOOL = {"name": "look", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}
TOOLS = [{"type": "function", "function": TOOL}]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture
def gateway(backend: ScriptedBackend, start: Start) -> RunningGateway:
    return start({**table(backend.url), "feedback": {"implicit": True}})


def answering(content: str | None, finish_reason: str = "stop", arguments: str | None = None) -> Any:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if arguments is not None:
        call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": arguments}}
        message["tool_calls"] = [call]
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}

    async def script(connection: Connection) -> None:
        await connection.answer(200, json.dumps({**ANSWER, "choices": [choice]}).encode())

    return script


def says(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def found(gateway: RunningGateway) -> list[tuple[Any, ...]]:
    gateway.stop()
    return outcomes(gateway.database, "id, metric, source, score")


def test_answers_that_are_invalid_or_empty(backend: ScriptedBackend, gateway: RunningGateway) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "out", "schema": SCHEMA}}
    expected = []
    for source, script, asked in (
        (None, answering('{"n": 1}'), {"response_format": form}),
        ("schema", answering('{"n": "1"}'), {"response_format": form}),
        ("schema", answering('{"n": 1', "length"), {"response_format": form}),
        (None, answering(None, "tool_calls", '{"n": 1}'), {"tools": TOOLS}),
        ("tool_call", answering(None, "tool_calls", "{}"), {"tools": TOOLS}),
        (None, answering("", "stop"), {}),
        (None, answering("four", "length"), {}),
        ("empty", answering(" \n", "length"), {}),
    ):
        backend.script = script
        answer = gateway.post({"model": "plain", "messages": [says("user", "hi")], **asked})
        if source is not None:
            expected.append((answer.headers["x-thinkgate-id"], "implicit", f"implicit:{source}", 0.0))
    assert found(gateway) == sorted(expected)


def conversation(gateway: RunningGateway, *more: dict[str, Any], **fields: Any) -> str:
    body = {"model": "plain", "messages": [says("user", "hi"), says("assistant", "hello"), *more], **fields}
    answer = gateway.post(body, headers=fields.pop("headers", {}))
    assert answer.status_code == 200, answer.text
    return answer.headers["x-thinkgate-id"]


def test_the_same_question_again(gateway: RunningGateway) -> None:
    question, other = says("user", QUESTION), says("user", "And what is that of Spain, please?")
    first = conversation(gateway, question)
    again = conversation(gateway, question, says("assistant", "Lyon"), says("user", f" {QUESTION.upper()}\n"))
    conversation(gateway, other)
    conversation(gateway, says("user", "go on"))
    conversation(gateway, says("user", "go on"))
    # Without a conversation: two people of one key who begin with the same words.
    for _ in range(2):
        assert gateway.post({"model": "plain", "messages": [question]}).status_code == 200
    # In a session that has a name, the history is not needed.
    alone = {"model": "plain", "messages": [other]}
    named = [gateway.post(alone, headers={"x-session-id": name}) for name in ("a", "a", "b")]
    retried = {"x-session-id": "b", "x-stainless-retry-count": "1"}
    assert gateway.post(alone, headers=retried).status_code == 200
    asked_again = sorted((first, named[0].headers["x-thinkgate-id"]))
    assert again not in asked_again
    assert found(gateway) == [(id, "implicit", "implicit:asked_again", 0.0) for id in asked_again]


def test_a_tool_that_failed(backend: ScriptedBackend, gateway: RunningGateway) -> None:
    """Anthropic's clients say so in the next request, about the answer that called it."""
    backend.script = answering(None, "tool_calls", '{"n": 1}')
    tools = [{"name": "look", "input_schema": SCHEMA}]
    asked = {"model": "plain", "max_tokens": 99, "tools": tools}
    user = says("user", QUESTION)
    first = gateway.post({**asked, "messages": [user]}, MESSAGES)
    used = first.json()["content"][-1]
    assert used["type"] == "tool_use"
    backend.script = answering("four")
    for failed in (None, False, True, True):
        result = {"type": "tool_result", "tool_use_id": used["id"], "content": "no", "is_error": failed}
        messages = [user, says("assistant", [used]), says("user", [result])]
        assert gateway.post({**asked, "messages": messages}, MESSAGES).status_code == 200
    assert found(gateway) == [(first.headers["x-thinkgate-id"], "implicit", "implicit:tool_failed", 0.0)]


def test_signs_are_off_unless_they_are_wanted(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(table(backend.url))
    backend.script = answering("", "length")
    for path, body in ((CHAT, {"messages": [says("user", "hi")]}), (RESPONSES, {"input": "hi"})):
        assert gateway.post({"model": "plain", **body}, path).status_code == 200
    assert found(gateway) == []


def test_what_is_remembered_is_bounded() -> None:
    signals = ImplicitSignals()
    history = [says("assistant", "x"), says("user", QUESTION)]
    for n in range(max(MOST_CONVERSATIONS, MOST_CALLS) + 10):
        of = RecordIdentity(str(n), "k", None, f"u{n}", 0.0)
        call = Call(request_id="", dialect="chat", model="m", body={"messages": history})
        answer = AnswerContent("", (CalledTool(f"id{n}", "look", "{}"),), "tool_calls")
        assert [*signals.observe(of, call, answer)] == []
    assert len(signals.turns) == MOST_CONVERSATIONS and len(signals.calls) == MOST_CALLS
