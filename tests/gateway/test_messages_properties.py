"""Properties of the translators: any request is a call or an error that names its place; what leaves comes back alike;
streams are well formed however the backend cuts its answer, and say what the plain answer says.
"""

from __future__ import annotations

import asyncio
import json
from functools import cache
from itertools import count
from typing import Any

import orjson
from anthropic.lib.streaming._messages import accumulate_event
from hypothesis import example, given
from hypothesis import strategies as st

from gateway import assembly
from gateway.api.dialect import ParsedRequest
from gateway.api.fields import Fields
from gateway.api.messages import errors
from gateway.api.messages.answer import content
from gateway.api.messages.conversation import read_conversation
from gateway.api.messages.encoder import MessagesEncoder
from gateway.api.messages.events import PING, MessageEvents
from gateway.api.messages.request import MessagesCall, read_request
from gateway.api.messages.thoughts import ThoughtReader, Thoughts
from gateway.auth.principal import ANONYMOUS
from gateway.auth.seal import Seal
from gateway.backends.latency import latency_models_of
from gateway.config.settings import parse
from gateway.core.backend_errors import BackendFailed
from gateway.core.errors import GatewayError, InvalidRequest
from gateway.routing.catalogue import Catalogue
from tests.gateway.anthropics import HI, TOOL
from tests.gateway.bounded import QUICK
from tests.gateway.conftest import table
from tests.gateway.plans import plans

SECRET = Seal(["a secret of some length, for tests"])
SEAL = SECRET.bound(None, "merged")
TEXT = st.text(max_size=20)
NAMES = st.sampled_from(["look", "find", "add"])
SIMPLE = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
JSON = st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)

# Something right in each field, so that what is wrong is found deep inside, too.
BLOCK_TYPES = ["text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result", "search_result"]
ODD = JSON | st.just({}) | st.just([{}])
BLOCKS: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        st.fixed_dictionaries(
            {"type": st.sampled_from(BLOCK_TYPES)},
            optional={
                "text": TEXT | ODD,
                "thinking": TEXT | ODD,
                "signature": st.sampled_from([SEAL.sign(""), SEAL.close("x"), SEAL.sign("x")]) | ODD,
                "data": st.just(SEAL.close("x")) | ODD,
                "id": st.sampled_from("ab") | ODD,
                "tool_use_id": st.sampled_from("ab") | ODD,
                "name": NAMES | ODD,
                "input": OBJECTS | ODD,
                "content": TEXT | st.lists(BLOCKS, max_size=2) | ODD,
                "is_error": st.booleans() | ODD,
                "title": TEXT | ODD,
                "source": SOURCES | TEXT | ODD,
                "citations": ODD,
                "context": TEXT | ODD,
            },
        )
        | ODD
    )
)
SOURCES = st.fixed_dictionaries(
    {"type": st.sampled_from(["base64", "url", "text", "content", "file"])},
    optional={"media_type": st.sampled_from(["image/png", "text/plain"]), "data": TEXT, "url": TEXT, "content": TEXT},
)
TURNS = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"])},
    optional={"content": TEXT | st.lists(BLOCKS, max_size=3) | ODD},
)
BODIES = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["merged", "split", "unrouted", "bounded", "fixed", "plain"]),
        "max_tokens": st.integers(1, 5000) | ODD,
        "messages": st.lists(TURNS | ODD, min_size=1, max_size=4).map(lambda turns: [*turns, *HI]) | ODD,
    },
    optional={
        "system": TEXT | st.lists(BLOCKS, max_size=2) | ODD,
        "stream": st.booleans() | ODD,
        "thinking": st.fixed_dictionaries(
            {"type": st.sampled_from(["enabled", "disabled", "adaptive", "between_tools"])},
            optional={"budget_tokens": st.integers(-1, 6000) | ODD, "display": st.just("omitted") | ODD},
        )
        | ODD,
        "output_config": st.fixed_dictionaries(
            {}, optional={"effort": st.sampled_from(["low", "max", "auto", "none"]) | ODD, "format": ODD}
        )
        | ODD,
        "tools": st.lists(st.just(TOOL) | OBJECTS, max_size=2) | ODD,
        "tool_choice": st.sampled_from([{"type": "any"}, {"type": "tool", "name": "look"}]) | ODD,
        "stop_sequences": st.lists(TEXT) | ODD,
        "temperature": st.floats(0, 2) | ODD,
        "top_p": ODD,
        "top_k": ODD,
        "metadata": ODD,
        "service_tier": ODD,
        "speed": ODD,
        "thinkgate": ODD,
        "include": ODD,
    },
)


@cache
def catalogue() -> Catalogue:
    settings = parse(table("http://127.0.0.1:1/v1"))
    known = assembly.deployments(settings)
    return assembly.catalogue(settings, known, latency_models_of(known.values()))


def read(body: dict[str, Any]) -> MessagesCall:
    return read_request(ParsedRequest(body, 100, {}, "id", ANONYMOUS), catalogue(), 1000, SECRET)


@QUICK
@given(BODIES)
def test_any_body_becomes_a_plan_or_an_error_with_a_place(body: dict[str, Any]) -> None:
    before = orjson.dumps(body)
    try:
        call = read(body)
    except InvalidRequest as error:
        told = orjson.loads(errors.body(error, "id"))["error"]
        assert told["type"] in ("invalid_request_error", "not_found_error") and told["message"]
        first = str(told["param"]).partition(".")[0]
        assert first in {*body, "messages", "max_tokens", "tool_choice"}
        return
    assert orjson.dumps(body) == before, "the client's own body is not changed"
    for _, sent in plans(call, catalogue().find(call.model)):
        assert sent["max_tokens"] <= body["max_tokens"]
        assert all(isinstance(message["content"], str | list | None) for message in sent["messages"])


CALLS = st.lists(st.tuples(NAMES, OBJECTS), max_size=3)


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """A message of a chat completion, as a backend says it."""
    calls = [
        {"id": f"call-{index}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for index, (name, arguments) in enumerate(draw(CALLS))
    ]
    message: dict[str, Any] = {"role": "assistant", "content": draw(st.none() | TEXT)}
    thought = draw(TEXT)
    if thought:
        message[draw(st.sampled_from(["reasoning", "reasoning_content"]))] = thought
    return message | ({"tool_calls": calls} if calls else {})


def came_back(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """What a backend gets of a turn that a client sends as it got it."""
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "x"}
        for block in blocks
        if block["type"] == "tool_use"
    ]
    turns = [*HI, {"role": "assistant", "content": blocks}, {"role": "user", "content": results or "go"}]
    return read_conversation(Fields({"messages": turns}, dotted=True), 10, ThoughtReader(SEAL))[1]


def canonical(message: dict[str, Any]) -> dict[str, Any]:
    """The same message in one form: a text that is no more than white space beside a call is none."""
    text = message.get("content") or ""
    calls = message.get("tool_calls") or []
    return {
        "content": "" if calls and not text.strip() else text,
        "reasoning": message.get("reasoning") or message.get("reasoning_content") or "",
        "calls": [(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls],
    }


@QUICK
@given(answers(), st.booleans())
def test_what_leaves_comes_back(message: dict[str, Any], omitted: bool) -> None:
    blocks = orjson.loads(orjson.dumps(content(message, "stop", Thoughts(SEAL, omitted), "id")))
    assert canonical(came_back(blocks)) == canonical(message)


@st.composite
def pieces(draw: st.DrawFn, message: dict[str, Any]) -> list[dict[str, Any]]:
    """The deltas of a message, cut anywhere."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for name in ("reasoning", "reasoning_content", "content"):
        deltas += [{name: part} for part in draw(cut(message.get(name) or ""))]
    for index, call in enumerate(message.get("tool_calls") or ()):
        head = {"index": index, "id": call["id"], "type": "function"}
        first, *rest = draw(cut(call["function"]["arguments"])) or [""]
        deltas.append({"tool_calls": [{**head, "function": {"name": call["function"]["name"], "arguments": first}}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": part}}]} for part in rest]
    return deltas


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[one:two] for one, two in zip([0, *places], [*places, len(text)], strict=True) if two > one]


def streamed(deltas: list[dict[str, Any]], omitted: bool = False) -> list[dict[str, Any]]:
    """The events of a stream."""
    encoder = MessagesEncoder("m", "1", "req-1", Thoughts(SEAL, omitted))
    told = b"".join(
        encoder.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}, b"") for delta in deltas
    )
    told += encoder.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, b"")
    told += asyncio.run(encoder.end())
    return [orjson.loads(event.partition(b"data: ")[2]) for event in told.strip().split(b"\n\n")]


def accumulated(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the SDK does it; every block begins and ends once, one after the other."""
    open_block, ended, snapshot, buffers = None, -1, None, dict[int, bytes]()
    for event in events:
        if event["type"] == "content_block_start":
            assert open_block is None and event["index"] == ended + 1
            open_block = event["index"]
        elif event["type"] == "content_block_delta":
            assert event["index"] == open_block
        elif event["type"] == "content_block_stop":
            assert event["index"] == open_block
            open_block, ended = None, event["index"]
        if event["type"] != "ping":
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)  # type: ignore[arg-type]
    assert open_block is None and ended >= 0 and snapshot is not None
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["message_start", "ping"] and kinds[-2:] == ["message_delta", "message_stop"]
    return [block.to_dict() for block in snapshot.content]


@QUICK
@given(st.data(), answers(), st.booleans())
def test_a_stream_says_what_the_plain_answer_says(data: st.DataObject, message: dict[str, Any], omitted: bool) -> None:
    blocks = accumulated(streamed(data.draw(pieces(message)), omitted))
    assert canonical(came_back(blocks)) == canonical(message)
    plain = content(message, "stop", Thoughts(SEAL), "1")
    if not omitted:
        assert blocks == orjson.loads(orjson.dumps(plain))


DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": TEXT | ODD,
        "reasoning": TEXT | ODD,
        "refusal": TEXT,
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": st.integers(0, 2) | ODD,
                    "id": st.sampled_from("ab") | ODD,
                    "function": st.fixed_dictionaries(
                        {}, optional={"name": NAMES | ODD, "arguments": st.just("{}") | ODD}
                    )
                    | ODD,
                },
            )
            | ODD,
            max_size=2,
        )
        | ODD,
    },
)


@QUICK
@given(st.lists(DELTAS | ODD, max_size=8))
@example([{"tool_calls": [{"function": {"name": "look"}}]}, {"content": "a"}, {"reasoning": "b"}, {"content": " "}])
def test_any_stream_is_well_formed_or_the_backends_fault(deltas: list[dict[str, Any]]) -> None:
    try:
        events = streamed(deltas)
    except BackendFailed as error:
        assert error.code == "invalid_tool_call"
        return
    try:
        accumulated(events)
    except ValueError as error:
        assert "tool parameter JSON" in str(error)


@QUICK
@given(ODD, st.sampled_from(["stop", "length", None]))
def test_any_plain_answer_is_a_message_or_the_backends_fault(message: Any, finish: str | None) -> None:
    encoder = MessagesEncoder("m", "1", "req-1", Thoughts(SEAL))
    choice = {"message": message, "finish_reason": finish}
    try:
        told = orjson.loads(asyncio.run(encoder.whole({"choices": [choice]}, b"")))
    except GatewayError as error:
        assert error.status == 502
        return
    assert told["content"] and told["stop_reason"]


def test_who_sees_nothing_of_a_thought_hears_that_it_goes_on() -> None:
    for omitted, pings in ((True, 3), (False, 0)):
        # Every look at the clock takes a second.
        events = MessageEvents(Thoughts(SEAL, omitted), "id", count(0.0, 1.0).__next__)
        told = b"".join(events.feed({"delta": {"reasoning": "hm"}}) for _ in range(32))
        assert told.count(PING) == pings
