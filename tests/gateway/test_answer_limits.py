"""What a client's limit becomes in every dialect, and what is said of an answer that thinking left no room."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.anthropics import MESSAGES, events
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, Connection, Script, ScriptedBackend, delta, obedient
from tests.gateway.test_feedback import outcomes
from tests.gateway.test_verification import CHAT, RESPONSES

HI = [{"role": "user", "content": "hi"}]
# How each dialect asks, with its own name for the limit, and how it asks for thinking by itself.
DIALECTS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    CHAT: ({"messages": HI}, "max_completion_tokens", {"reasoning_effort": "medium"}),
    RESPONSES: ({"input": "hi"}, "max_output_tokens", {"reasoning": {"effort": "medium"}}),
    MESSAGES: ({"messages": HI}, "max_tokens", {"thinking": {"type": "adaptive"}}),
}
LIMIT, BUDGET = 300, 100


@pytest.fixture
def gateway(backend: ScriptedBackend, start: Start) -> RunningGateway:
    return start(table(backend.url))


def limits(backend: ScriptedBackend) -> list[int]:
    return [backend.last[name] for name in ("max_tokens", "max_completion_tokens") if name in backend.last]


def ending(thought: int, content: str, tokens: int) -> Script:
    """An answer, plain or streamed, that ended at its limit after a thought."""
    used = {"prompt_tokens": 7, "completion_tokens": tokens, "completion_tokens_details": {"reasoning_tokens": thought}}
    message = {"role": "assistant", "content": content, "reasoning": "hm"}
    choice = {"index": 0, "message": message, "finish_reason": "length"}

    async def script(connection: Connection) -> None:
        if not connection.request.body.get("stream"):
            await connection.answer(200, json.dumps({**ANSWER, "choices": [choice], "usage": used}).encode())
            return
        await connection.begin_stream()
        for one in (delta(reasoning="hm"), *([delta(content=content)] if content else []), delta("length")):
            await connection.event(one)
        await connection.event({**delta(), "choices": [], "usage": used})
        await connection.event("[DONE]")
        await connection.end_stream()

    return script


@pytest.mark.parametrize("path", DIALECTS)
def test_thinking_that_the_gateway_decided_on_leaves_the_answer_its_limit(
    backend: ScriptedBackend, gateway: RunningGateway, path: str
) -> None:
    body, name, wants = DIALECTS[path]
    for stream in (False, True):
        asked = {"model": "fixed", **body, name: LIMIT, "stream": stream}
        answer = gateway.post(asked, path)
        assert answer.status_code == 200, answer.text
        assert limits(backend) == [LIMIT + BUDGET], path
        assert backend.last["thinking_token_budget"] == BUDGET
        if path == RESPONSES and not stream:
            assert answer.json()["max_output_tokens"] == LIMIT, "the client reads its own"
        assert gateway.post({**asked, **wants}, path).status_code == 200
        assert limits(backend) == [LIMIT], "where the client wants to think, its limit is on all tokens"
        assert backend.last["thinking_token_budget"] == LIMIT - 256


def notes_of(path: str, stream: bool, answer: Any) -> str:
    """What the answer says of itself: in its header, or else at the end of its stream."""
    if not stream:
        return str(answer.headers.get("x-thinkgate-note", ""))
    if path == MESSAGES:
        told = events(answer)
    else:
        told = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    return json.dumps(told)


@pytest.mark.parametrize("path", DIALECTS)
def test_an_answer_lost_to_length_is_said_recorded_and_an_outcome(
    backend: ScriptedBackend, gateway: RunningGateway, path: str
) -> None:
    body, name, _ = DIALECTS[path]
    expected = []
    for stream in (False, True):
        for lost, script in (
            (True, ending(400, "", 400)),
            (True, ending(380, "a beg", 400)),
            (False, ending(100, "a whole answer, as long as it may be", 400)),
            (False, ending(0, "a whole answer", 300)),
        ):
            backend.script = script
            asked = {"model": "fixed", **body, name: LIMIT, "stream": stream, "include": ["thinkgate"]}
            answer = gateway.post(asked, path)
            assert answer.status_code == 200, answer.text
            assert ("left the answer too little room" in notes_of(path, stream, answer)) is lost, (path, stream)
            expected.append((answer.headers["x-thinkgate-id"], lost))
    gateway.stop()
    kept = [(id, "outcome", "implicit:length", 0.0) for id, lost in sorted(expected) if lost]
    assert outcomes(gateway.database, "id, metric, source, score") == kept
    assert [(row["id"], bool(row["lost_to_length"])) for row in gateway.records()] == sorted(expected)


@pytest.mark.parametrize("path", DIALECTS)
def test_a_limit_that_the_deployment_refuses_is_not_raised_again(
    backend: ScriptedBackend, gateway: RunningGateway, path: str
) -> None:
    """As an engine with a small context does, of which the configuration says nothing."""

    async def small(connection: Connection) -> None:
        if connection.request.body.get("max_tokens", connection.request.body.get("max_completion_tokens", 0)) <= LIMIT:
            await obedient(connection)
            return
        message = "max_tokens=400 cannot be greater than max_model_len=350."
        fields = {"message": message, "type": "BadRequestError", "param": "max_tokens", "code": 400}
        await connection.answer(400, json.dumps({"error": fields}).encode())

    backend.script = small
    body, name, _ = DIALECTS[path]
    for n, stream in enumerate((False, True, False)):
        answer = gateway.post({"model": "fixed", **body, name: LIMIT, "stream": stream}, path)
        assert answer.status_code == 200, answer.text
        assert "refuses a limit of 400 tokens" in answer.headers["x-thinkgate-note"]
        assert answer.headers["x-thinkgate-budget"] == str(LIMIT - 256)
        assert limits(backend) == [LIMIT] and len(backend.requests) == 2 + n, "it is asked once only"
    backend.script = refusing
    answer = gateway.post({"model": "unrouted", **body, name: LIMIT}, path)
    assert answer.status_code == 400 and len(backend.requests) == 5, "other refusals go to the client"


async def refusing(connection: Connection) -> None:
    fields = {"message": "no", "type": "BadRequestError", "param": "temperature", "code": 400}
    await connection.answer(400, json.dumps({"error": fields}).encode())
