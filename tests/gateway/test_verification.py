"""Answers are scored by themselves, in the background: every dialect, streamed or not, and what is never scored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config.defaults import embedded_settings
from gateway.config.settings import parse
from gateway.core.errors import ConfigError
from gateway.execution.answer_collector import MOST_CHARACTERS
from router_model.tasks import Prompt, generate, verify
from tests.gateway.anthropics import HI, MESSAGES
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, Connection, ScriptedBackend, delta
from tests.gateway.test_feedback import FEEDBACK, outcomes
from tests.patience import until

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
SCORES = "id, metric, source, score"
REGEX = {"kind": "regex", "pattern": "four"}
EXACT = {"kind": "exact"}


@pytest.fixture(scope="module")
def tiny(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("verification")
    chosen = embedded_settings(engine, folder / "r.db", host="127.0.0.1", port=0)
    given = chosen.model_dump(mode="json", exclude={"records"}, exclude_none=True)
    given["models"]["tiny"]["verify"] = [{"kind": "numeric"}, {"kind": "json_schema", "metric": "format"}]
    with RunningGateway(given, folder) as running:
        yield running


def arithmetic() -> Iterator[Prompt]:
    """Tasks of one message each, whose answers are numbers."""
    found = (prompt for prompt in generate(7, 200, families=["add", "sub", "mul"]) if len(prompt.messages) == 1)
    return (prompt for prompt in found if prompt.verifier == "number")


def test_the_official_clients_get_scores(tiny: RunningGateway) -> None:
    """The score of every answer is what the task's own check makes of the text that the client has seen."""
    openai, claude = tiny.sdk(), tiny.claude()
    expected: dict[str, float] = {}
    for prompt, effort in zip(arithmetic(), ("none", "high") * 3, strict=False):
        asked = {"model": "tiny", "reasoning_effort": effort}
        own = {"thinkgate": {"expected": prompt.answer}}
        metadata = {"expected": prompt.answer}
        chat = openai.chat.completions.with_raw_response.create(messages=prompt.messages, metadata=metadata, **asked)
        expected[chat.headers["x-thinkgate-id"]] = verify(prompt, chat.parse().choices[0].message.content)
        stream = openai.chat.completions.with_raw_response.create(
            messages=prompt.messages, stream=True, extra_body=own, **asked
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream.parse() if chunk.choices)
        expected[stream.headers["x-thinkgate-id"]] = verify(prompt, text)
        response = openai.responses.with_raw_response.create(
            model="tiny", input=prompt.messages, metadata=metadata, reasoning={"effort": effort}
        )
        expected[response.headers["x-thinkgate-id"]] = verify(prompt, response.parse().output_text)
        message = claude.messages.with_raw_response.create(
            model="tiny", max_tokens=900, messages=prompt.messages, extra_body=own
        )
        blocks = [block.text for block in message.parse().content if block.type == "text"]
        expected[message.headers["x-thinkgate-id"]] = verify(prompt, "".join(blocks))
    until(lambda: expected.keys() <= {row[0] for row in outcomes(tiny.database)})
    found = [row for row in outcomes(tiny.database, SCORES) if row[0] in expected]
    assert found == [(id, "outcome", "verifier:numeric", score) for id, score in sorted(expected.items())]


def test_a_schema_of_the_request_is_what_is_checked(tiny: RunningGateway) -> None:
    """The engine keeps to it, unless its answer is cut at the limit of tokens."""
    schema = {
        "type": "object",
        "properties": {"n": {"type": "boolean"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "out", "schema": schema}}
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "What is 3 + 4?"}], "reasoning_effort": "none"}
    answers = [
        tiny.sdk().chat.completions.with_raw_response.create(**asked, response_format=form, max_tokens=most)
        for most in (100, 2)
    ]
    expected = {answer.headers["x-thinkgate-id"]: score for answer, score in zip(answers, (1.0, 0.0), strict=True)}
    assert [answer.parse().choices[0].finish_reason for answer in answers] == ["stop", "length"]
    until(lambda: expected.keys() <= {row[0] for row in outcomes(tiny.database)})
    found = [row for row in outcomes(tiny.database, SCORES) if row[0] in expected]
    assert found == [(id, "format", "verifier:json_schema", score) for id, score in sorted(expected.items())]


def verifying(url: str, *verifiers: dict[str, Any], **more: Any) -> dict[str, Any]:
    given = table(url)
    given["models"]["plain"]["verify"] = [*verifiers]
    return {**given, **more}


def test_every_dialect_whole_and_streamed(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(verifying(backend.url, EXACT, REGEX))
    reference = {"thinkgate": {"expected": "four"}}
    ids = []
    for stream in (False, True):
        for path, body in (
            (CHAT, {"messages": HI}),
            (MESSAGES, {"messages": HI, "max_tokens": 100}),
            (RESPONSES, {"input": "hi"}),
        ):
            answer = gateway.post({"model": "plain", "stream": stream, **reference, **body}, path)
            assert answer.status_code == 200, answer.text
            assert "thinkgate" not in backend.last and "four" not in json.dumps(backend.last)
            ids.append(answer.headers["x-thinkgate-id"])
    assert gateway.post({"model": "plain", "messages": HI}).status_code == 200
    assert gateway.post({"model": "fixed", "messages": HI, **reference}).status_code == 200
    until(lambda: len(outcomes(gateway.database)) == 2 * len(ids) + 1)
    gateway.stop()
    found = outcomes(gateway.database, "id, source, score, weight")
    assert [row for row in found if row[1] == "verifier:exact"] == [(id, "verifier:exact", 1.0, 1.0) for id in ids]
    assert len(found) == 2 * len(ids) + 1


def test_references_that_are_none_are_refused(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(verifying(backend.url, EXACT))
    for path, body in (
        (CHAT, {"messages": HI}),
        (MESSAGES, {"messages": HI, "max_tokens": 9}),
        (RESPONSES, {"input": "a"}),
    ):
        for own, param in (({"tests": 5}, "thinkgate.tests"), ({"expect": 5}, "thinkgate.expect")):
            answer = gateway.post({"model": "plain", "thinkgate": own, **body}, path)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), (path, own)
    for metadata in ({"tests": 5}, {"expected": None}, {"expected": {"a": [1]}}):
        assert gateway.post({"model": "plain", "messages": HI, "metadata": metadata}).status_code == 200


def answering(text: str, finish_reason: str = "stop", **message: Any) -> Any:
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish_reason}

    async def script(connection: Connection) -> None:
        await connection.answer(200, json.dumps({**ANSWER, "choices": [choice]}).encode())

    return script


async def breaks_off(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(delta(content="four"))
    connection.cut()


def test_what_is_scored_and_what_is_not(backend: ScriptedBackend, start: Start) -> None:
    """An answer that was cut at its limit counts as it is. Errors, breaks, filters, calls and giants do not."""
    gateway = start(verifying(backend.url, REGEX, {"kind": "tool_calls"}))
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "required": ["n"]}}}
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    scores = {}
    for what, script, stream in (
        ("right", answering("it is four"), False),
        ("cut", answering("it is fo", "length"), False),
        ("nothing", answering("", "length"), False),
        ("filtered", answering("four", "content_filter"), False),
        ("giant", answering("four" * MOST_CHARACTERS), False),
        ("calls", answering("four", "tool_calls", tool_calls=[call]), False),
        ("broken", breaks_off, True),
    ):
        backend.script = script
        answer = gateway.post({"model": "plain", "messages": HI, "tools": [tool], "stream": stream})
        scores[what] = answer.headers["x-thinkgate-id"]
    counts = lambda: gateway.parts.metrics.text().decode()  # noqa: E731
    until(lambda: 'thinkgate_verifications_total{result="scored",source="verifier:tool_calls"} 1.0' in counts())
    assert 'thinkgate_verifications_total{result="too_long",source="verifier:regex"} 1.0' in counts()
    gateway.stop()
    found = {row[0]: row[1:] for row in outcomes(gateway.database, "id, source, score")}
    named = {what: found.get(id) for what, id in scores.items()}
    assert named == {
        "right": ("verifier:regex", 1.0),
        "cut": ("verifier:regex", 0.0),
        "nothing": ("verifier:regex", 0.0),
        "calls": ("verifier:tool_calls", 0.0),
        **dict.fromkeys(("filtered", "giant", "broken")),
    }


def test_answers_of_other_arms_are_scored_too(backend: ScriptedBackend, start: Start) -> None:
    """Each for its own record; what a person says of the conversation is of the client's own answer."""
    given = table(backend.url)
    given["models"]["unrouted"]["verify"] = [EXACT]
    arms = {"merged": {"deployment": "hybrid"}, "split": {"none": "instruct", "think": "thinking"}}
    given["experiments"] = {"modes": {"model": "unrouted", "arms": arms, "paired": {"share": 1}}}
    gateway = start(given)
    asked = {"model": "unrouted", "messages": HI, "reasoning_effort": "low", "metadata": {"conversation_id": "trip"}}
    answer = gateway.post({**asked, "thinkgate": {"expected": "four"}})
    until(lambda: len(outcomes(gateway.database)) == 2)
    done = gateway.post({"conversation": "trip", "score": 0}, FEEDBACK)
    assert done.json()["id"] == answer.headers["x-thinkgate-id"]
    pairs = {row["paired_with"]: row["id"] for row in gateway.records()}
    scored = {row[0] for row in outcomes(gateway.database, "id, source") if row[1] == "verifier:exact"}
    assert scored == {answer.headers["x-thinkgate-id"], pairs[answer.headers["x-thinkgate-id"]]}


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    for given, why in (
        ([{"kind": "exact"}, {"kind": "exact"}], "several verifiers are called 'exact'"),
        ([{"kind": "exactly"}], "exact"),
        ([{"kind": "regex", "pattern": "("}], "this pattern cannot be used"),
        ([{"kind": "regex"}], "pattern"),
        ([{"kind": "numeric", "tolerance": -1}], "tolerance"),
        ([{"kind": "json_schema", "json_schema": {"type": 5}}], "no JSON schema"),
        ([{"kind": "tests"}], "run_code_of_models"),
    ):
        with pytest.raises(ConfigError) as caught:
            parse(verifying("http://x", *given), tmp_path)
        assert why in str(caught.value), (given, str(caught.value))
    twice = [{"kind": "exact"}, {"kind": "exact", "name": "strict", "ignore_spaces": False}]
    assert len(parse(verifying("http://x", *twice), tmp_path).models["plain"].verify) == 2
