"""Budgets at backends that do not keep them: in two phases, with the embedded engine for real tokens."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.backends.capabilities import Capability, Marks
from tests.contract.prompts import Prompt, long_thought, prompts
from tests.gateway.conftest import Start, table
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import Connection, ScriptedBackend, delta
from tests.patience import PATIENCE_S, until

FAMILIES = {"tiny": "qwen3", "tiny-thinking": "qwen3-2507"}
# As an engine ends thoughts that have spent their budget: with the bare mark, after which the model goes on by itself.
AS_NATIVE = {name: {"end_text": "</think>\n\n"} for name in FAMILIES.values()}
POLICY = {"kind": "client", "default_effort": "max"}
SCHEMA = {
    "type": "object",
    "properties": {"result": {"enum": ["even", "odd"]}},
    "required": ["result"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "sum", "schema": SCHEMA}}


@pytest.fixture(scope="module", params=["ignored", "refused"])
def plain_engine(request: pytest.FixtureRequest, limitless: Callable[[str], str]) -> str:
    """An engine without budgets of its own."""
    return limitless(request.param)


def _table(url: str, probe: bool, families: Any) -> dict[str, Any]:
    return {
        "families": families,
        "deployments": {name: {"url": url, "family": family, "verify": probe} for name, family in FAMILIES.items()},
        "models": {
            "merged": {"deployment": "tiny", "policy": POLICY, "levels": {"low": 8}},
            "thinking": {"think": "tiny-thinking", "policy": POLICY},
        },
    }


@pytest.fixture(scope="module")
def pair(engine: str, plain_engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningGateway]]:
    """A gateway that has found out about its engine, and one whose engine keeps budgets itself."""
    with (
        RunningGateway(_table(plain_engine, True, AS_NATIVE), tmp_path_factory.mktemp("kept")) as kept,
        RunningGateway(_table(engine, False, AS_NATIVE), tmp_path_factory.mktemp("native")) as native,
    ):
        for name in FAMILIES:
            until_known(kept, name)
        yield [kept, native]


def until_known(gateway: RunningGateway, deployment: str) -> None:
    """Wait until discovery has been there; it goes on in the gateway's own loop."""
    capabilities, known = gateway.parts.capabilities, gateway.parts.deployments[deployment]
    until(lambda: gateway.inside(lambda: capabilities.marks(known)) is not None)


def _whole(answer: httpx.Response) -> dict[str, Any]:
    """What matters of an answer, whether it was streamed or not."""
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("application/json"):
        body = answer.json()
        choice, usage = body["choices"][0], body["usage"]
        message, ids, prompt = choice["message"], choice.get("token_ids"), body.get("prompt_token_ids")
    else:
        assert answer.text.endswith("data: [DONE]\n\n")
        events = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: {")]
        choices = [choice for event in events for choice in event["choices"]]
        message = {
            name: "".join(choice["delta"].get(name) or "" for choice in choices) for name in ("reasoning", "content")
        }
        (choice,) = [choice for choice in choices if choice["finish_reason"]]
        ids = [token for choice in choices for token in choice.get("token_ids") or ()]
        usage, prompt = events[-1]["usage"], events[0].get("prompt_token_ids")
    return {
        "reasoning": message.get("reasoning") or None,
        "content": message.get("content") or None,
        "finish_reason": choice["finish_reason"],
        "stop_reason": choice.get("stop_reason"),
        "tokens": [usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")],
        "used": usage["completion_tokens_details"]["reasoning_tokens"],
        "ids": ids or None,
        "prompt": prompt,
    }


def _ask(gateway: RunningGateway, messages: Any, **fields: Any) -> dict[str, Any]:
    options = {"stream_options": {"include_usage": True}} if fields.get("stream") else {}
    body = {"model": "merged", "messages": messages, "temperature": 0, "max_tokens": 500, **options, **fields}
    return _whole(gateway.post(body))


@pytest.mark.parametrize("each", [3, pytest.param(1, marks=pytest.mark.long)], ids=["some", "all"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["merged", "thinking"])
def test_the_text_is_that_of_a_native_budget(pair: list[RunningGateway], model: str, stream: bool, each: int) -> None:
    """To the byte and to the token, whether the budget ends the thought or not."""
    tasks = [(1 + 2 * number, prompt.messages) for number, prompt in enumerate(reasoning(24))][each // 3 :: each]
    ended = 0
    for budget, messages in tasks:
        kept, native = (
            _ask(gateway, messages, model=model, stream=stream, thinking_token_budget=budget) for gateway in pair
        )
        assert kept == native
        assert kept["used"] <= budget
        ended += kept["used"] >= budget - 1
    assert len(tasks) // 4 <= ended < len(tasks)


def reasoning(count: int) -> list[Prompt]:
    return [prompt for prompt in prompts() if prompt.kind == "reasoning"][:count]


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 9},
        {"max_tokens": 10, "stream": True},
        {"max_completion_tokens": 30, "max_tokens": None},
        {"max_tokens": None},
        {"stop": ["="]},
        {"stop": ["7", "\n"], "stream": True},
        {"response_format": FORM},
        {"response_format": FORM, "stream": True},
        {"return_token_ids": True},
        {"return_token_ids": True, "stream": True},
        {"include_reasoning": False},
        {"include_reasoning": False, "stream": True},
        {"repetition_penalty": 1.3, "logit_bias": {"300": -5}, "seed": 3},
    ],
)
def test_what_a_request_says_holds_in_both_phases(pair: list[RunningGateway], fields: dict[str, Any]) -> None:
    for messages in (long_thought(), [{"role": "user", "content": "What is 12 + 35?"}]):
        kept, native = (_ask(gateway, messages, thinking_token_budget=8, **fields) for gateway in pair)
        if "response_format" in fields:
            assert json.loads(kept["content"])["result"] in ("even", "odd")
        assert kept == native


@pytest.mark.parametrize(
    "fields",
    [{"n": 2, "temperature": 0.7}, {"logprobs": True}, {"tools": [{"type": "function", "function": {"name": "look"}}]}],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_joined_is_cut(pair: list[RunningGateway], fields: dict[str, Any], stream: bool) -> None:
    """The budget holds all the same; the answer ends there."""
    body = {"model": "merged", "messages": long_thought(), "thinking_token_budget": 6, "max_tokens": 300}
    body |= {"temperature": 0, "include": ["thinkgate"], "stream": stream, **fields}
    answer = pair[0].post(body)
    assert answer.status_code == 200, answer.text
    if stream:
        events = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: {")]
        reasons = [
            choice["finish_reason"] for event in events for choice in event["choices"] if choice["finish_reason"]
        ]
        account = events[-1]["thinkgate"]
    else:
        reasons = [choice["finish_reason"] for choice in answer.json()["choices"]]
        account = answer.json()["thinkgate"]
        assert answer.json()["usage"]["completion_tokens_details"]["reasoning_tokens"] == account["used"]
    assert reasons == ["length"] * fields.get("n", 1)
    assert account["used"] == 6 * fields.get("n", 1)
    assert (account["enforced"], account["verdict"], account["used_from"]) == ("cut", "over", "counted")
    assert account["notes"][-1] == "the reasoning exceeded its budget: the answer was truncated there"


@pytest.mark.parametrize("stream", [False, True])
def test_other_dialects_are_kept_to_their_budgets_too(pair: list[RunningGateway], stream: bool) -> None:
    """They speak to the same pipeline."""
    texts = []
    for gateway in pair:
        with gateway.sdk() as client, gateway.claude("k") as other:
            given: Any = {"model": "merged", "input": long_thought()[-1]["content"], "reasoning": {"effort": "low"}}
            if stream:
                with client.responses.stream(**given, temperature=0) as events:
                    response = events.until_done().get_final_response()
            else:
                response = client.responses.create(**given, temperature=0)
            asked: Any = {"model": "merged", "messages": long_thought(), "output_config": {"effort": "low"}}
            if stream:
                with other.messages.stream(**asked, extra_body={"temperature": 0}, max_tokens=500) as pieces:
                    message = pieces.get_final_message()
            else:
                message = other.messages.create(**asked, extra_body={"temperature": 0}, max_tokens=500)
        assert response.usage is not None
        assert 0 < response.usage.output_tokens_details.reasoning_tokens <= 8
        texts.append((response.output_text, [block.type for block in message.content], message.usage.output_tokens))
    assert texts[0] == texts[1]


def test_the_record_says_how_the_budget_was_kept(plain_engine: str, tmp_path: Path) -> None:
    with RunningGateway(_table(plain_engine, True, {}), tmp_path) as gateway:
        until_known(gateway, "tiny")
        for stream in (False, True):
            answer = _ask(gateway, long_thought(), thinking_token_budget=9, stream=stream)
            # As the family's own row ends thoughts.
            assert answer["reasoning"].endswith("\n")
            assert answer["content"].startswith("\n\n")
        _ask(gateway, long_thought(), reasoning_effort="none")
        page = gateway.get("/metrics").text
        rows = gateway.records()
    assert 'thinkgate_family_disagreements{deployment="tiny",what="budget"} 1.0' in page
    assert 'thinkgate_family_disagreements{deployment="tiny",what="off"} 0.0' in page
    names = ("applied", "enforced", "used", "used_from", "verdict", "reasoning_tokens", "finish_reason")
    kept = ("9", "two-phase", 9, "counted", "within", 9, "stop")
    assert [tuple(row[name] for name in names) for row in rows] == [
        kept,
        kept,
        ("none", None, 0, "reported", "within", 0, "stop"),
    ]


# From here on scripted: what a real engine cannot be asked to do.

MARKS = Marks((1,), (2,), (9,), (3,))


def _piece(*ids: int, **fields: Any) -> dict[str, Any]:
    chunk = delta(**fields)
    chunk["choices"][0]["token_ids"] = list(ids)
    return chunk


async def _thinking(connection: Connection) -> None:
    """Seven tokens of a thought in pieces of several, and no end to it."""
    if connection.request.path.endswith("/detokenize"):
        text = " ".join(f"t{token}" for token in connection.request.body["tokens"])
        await connection.answer(200, json.dumps({"prompt": text}).encode())
        return
    await connection.begin_stream()
    await connection.event({**_piece(role="assistant", content=""), "prompt_token_ids": [7, 7, 7]})
    await connection.event(_piece(1))
    await connection.event(_piece(11, 12, 13, reasoning="t11 t12 t13"))
    await connection.event(_piece(14, 15, 16, 17, reasoning=" t14 t15 t16 t17"))
    await connection.hung_up()


def _told(text: str, ids: list[int], reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": reason, "token_ids": ids}
    return {"id": "x", "object": "text_completion", "created": 1, "model": "backend-model", "choices": [choice]}


async def _answering(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(_told("fo", [21]))
    await connection.event(_told("ur</th", [22]))
    await connection.event(_told("ink>!", [23]))
    await connection.event(_told("", [24], "stop"))
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    await connection.event({**_told("", []), "choices": [], "usage": usage})
    await connection.event("[DONE]")
    await connection.end_stream()


@pytest.fixture
def phases(backend: ScriptedBackend, start: Start) -> RunningGateway:
    backend.script = _by_path(_answering)
    gateway = start(table(backend.url))
    gateway.parts.capabilities.learn("hybrid", Capability("two-phase", MARKS))
    return gateway


def _by_path(second: Any) -> Any:
    async def script(connection: Connection) -> None:
        await (second if "prompt" in connection.request.body else _thinking)(connection)

    return script


def _body(budget: int, stream: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": "hi"}]
    fields = {"thinking_token_budget": budget, "stream": stream, "temperature": 0.5, "stop": ["END"]}
    options = {"stream_options": {"include_usage": True}} if stream else {}
    return {"model": "unrouted", "messages": messages, "max_tokens": 900, **fields, **options}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("budget", [3, 4, 5])
def test_pieces_of_several_tokens_are_parted(
    phases: RunningGateway, backend: ScriptedBackend, budget: int, stream: bool
) -> None:
    answer = _whole(phases.post(_body(budget, stream)))
    kept = [11, 12, 13, 14, 15, 16, 17][: budget - 1]
    # The row's text before the mark is a token of the thought.
    assert answer["reasoning"] == " ".join(f"t{token}" for token in kept) + "\n"
    assert answer["content"] == "\n\nfour!"
    assert answer["finish_reason"] == "stop"
    assert answer["used"] == budget
    assert answer["tokens"] == [3, 1 + budget + 2 + 4, 3 + 1 + budget + 2 + 4]
    second = backend.last
    assert second["prompt"] == [7, 7, 7, 1, *kept, 9, 2, 3]
    assert second["max_tokens"] == 900 - (1 + budget + 2)
    assert (second["temperature"], second["stop"]) == (0.5, ["END"])
    assert not {"messages", "thinking_token_budget", "chat_template_kwargs"} & set(second)
    assert "thinking_token_budget" not in backend.requests[0].body


async def _refusing(connection: Connection) -> None:
    await connection.answer(400, b'{"error": {"message": "too long", "type": "BadRequestError"}}')


async def _busy(connection: Connection) -> None:
    await connection.answer(503, b'{"error": {"message": "not now", "type": "ServiceUnavailable"}}')


async def _breaking(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event(_told("fo", [21]))
    connection.cut()


async def _failing(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.event({"error": {"message": "out of memory", "type": "InternalServerError", "code": 500}})
    await connection.event("[DONE]")
    await connection.end_stream()


@pytest.mark.parametrize(
    ("second", "status", "code"),
    [(_refusing, 502, "backend_error"), (_busy, 503, None), (_breaking, 502, "stream_cut"), (_failing, 500, "500")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_in_the_second_phase(
    phases: RunningGateway, backend: ScriptedBackend, second: Any, status: int, code: str | None, stream: bool
) -> None:
    backend.script = _by_path(second)
    answer = phases.post(_body(4, stream))
    assert answer.status_code == (200 if stream else status)
    told = json.loads(answer.text.strip().split("\n\n")[-1][6:]) if stream else answer.json()
    assert told["error"]["message"]
    (row,) = phases.records()
    assert (row["status"], row["error_code"], row["verdict"]) == (status, code, None)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_the_second_phase(
    phases: RunningGateway, backend: ScriptedBackend, stream: bool
) -> None:
    begun, left = threading.Event(), threading.Event()

    async def endless(connection: Connection) -> None:
        try:
            await connection.begin_stream()
            await connection.event(_told("fo", [21]))
            begun.set()
            await connection.hung_up()
        finally:
            left.set()

    backend.script = _by_path(endless)
    with phases.leaving(_body(4, stream)):
        assert begun.wait(PATIENCE_S)
    assert left.wait(PATIENCE_S)
    (row,) = phases.records()
    assert (row["status"], row["client_gone"]) == (499, 1)


def test_a_context_that_is_full_ends_the_answer(backend: ScriptedBackend, start: Start) -> None:
    backend.script = _by_path(_refusing)
    settings = table(backend.url)
    settings["deployments"]["hybrid"]["max_context"] = 3 + 1 + 4 + 2
    gateway = start(settings)
    gateway.parts.capabilities.learn("hybrid", Capability("two-phase", MARKS))
    answer = _whole(gateway.post(_body(4, False)))
    assert (answer["used"], answer["content"], answer["finish_reason"]) == (4, "\n\n", "length")


def test_a_backend_that_tells_no_prompt_is_cut(phases: RunningGateway, backend: ScriptedBackend) -> None:
    async def forgetful(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.event(_piece(1, role="assistant", content=""))
        await connection.event(_piece(11, 12, reasoning="t11 t12"))
        await connection.hung_up()

    backend.script = forgetful
    answer = phases.post({**_body(2, False), "include": ["thinkgate"]}).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert (answer["thinkgate"]["used"], answer["thinkgate"]["verdict"]) == (1, "over")
