"""What clients and backends say in the Responses dialect: understood, or an error that says what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import json_object
from gateway.api.dialect import ParsedRequest
from gateway.api.responses import errors
from gateway.api.responses.events import ResponseEvents
from gateway.api.responses.output import OutputItems
from gateway.api.responses.request import read_call
from gateway.api.responses.store import ResponseStore, StoreLimits
from gateway.auth.principal import ANONYMOUS
from gateway.auth.seal import Seal
from gateway.core.backend_errors import BackendFailed
from gateway.core.errors import GatewayError
from tests.fuzz.bodies import CALLS, FORMATS, SCALARS, TOOLS, VALUES, WORDS
from tests.fuzz.test_requests import MODELS, catalogue
from tests.gateway.bounded import QUICK
from tests.gateway.plans import plans
from tests.gateway.test_responses_items import wanted

SEAL = Seal(["a secret for tests of sufficient length"])
# It keeps nothing, so that nothing is there to go on from.
STORE = ResponseStore(Path("nowhere"), StoreLimits(0, 0, 0, 0))
KINDS = st.sampled_from(
    ["message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output",
     "item_reference", "configuration_update", "web_search_call"]
)  # fmt: skip
PART_KINDS = st.sampled_from(
    [
        "input_text",
        "output_text",
        "input_image",
        "input_file",
        "input_audio",
        "refusal",
        "reasoning_text",
        "summary_text",
    ]
)
PARTS = st.fixed_dictionaries(
    {"type": PART_KINDS}, optional={"text": SCALARS, "image_url": VALUES, "detail": WORDS, "file_data": SCALARS}
)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "type": KINDS | WORDS,
            "role": st.sampled_from(["system", "user", "assistant", "developer"]) | SCALARS,
            "id": SCALARS,
            "content": SCALARS | st.lists(PARTS | VALUES, max_size=3),
            "summary": st.lists(PARTS | VALUES, max_size=2) | SCALARS,
            "encrypted_content": SCALARS,
            "call_id": WORDS | SCALARS,
            "name": WORDS | SCALARS,
            "arguments": WORDS | SCALARS,
            "input": SCALARS,
            "output": SCALARS | st.lists(PARTS, max_size=2),
            "reasoning": VALUES,
            "text": VALUES,
        },
    )
    | VALUES,
    max_size=5,
)
FLAT_TOOLS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["function", "custom", "web_search"])},
        optional={"name": WORDS, "parameters": VALUES, "strict": SCALARS, "format": VALUES, "description": SCALARS},
    ),
    max_size=3,
)
TEXT = st.text(max_size=5)
THOUGHT = {"content": st.lists(st.builds(lambda text: {"type": "reasoning_text", "text": text}, TEXT), min_size=1)}
RIGHT_ITEMS = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXT})
    | st.fixed_dictionaries({"type": st.just("reasoning"), **THOUGHT}, optional={"id": TEXT})
    | st.fixed_dictionaries(
        {"type": st.just("function_call"), "call_id": st.uuids().map(str), "name": st.just("f"), "arguments": TEXT}
    ),
    min_size=1,
    max_size=6,
)
RIGHT: dict[str, st.SearchStrategy[Any]] = {
    "input": RIGHT_ITEMS,
    "stream": st.booleans(),
    "store": st.booleans(),
    "instructions": TEXT,
    "temperature": st.floats(0, 2),
    "max_output_tokens": st.integers(1, 500),
    "reasoning": st.fixed_dictionaries({"effort": st.sampled_from(["auto", "none", "low", "max"])}),
    "thinking_token_budget": st.integers(-1, 300),
    "text": st.just({"format": {"type": "json_object"}}),
    "tools": st.just([{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]),
    "tool_choice": st.sampled_from(["auto", "none"]),
    "include": st.just(["thinkgate"]),
    "metadata": st.just({"conversation_id": "c"}),
}
WRONG: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(["stream", "store", "background", "parallel_tool_calls"], VALUES),
    **dict.fromkeys(["temperature", "top_p", "max_output_tokens", "max_tool_calls", "top_logprobs"], SCALARS),
    **dict.fromkeys(["thinking_token_budget", "n", "messages"], st.integers(-2, 300) | VALUES),
    **dict.fromkeys(["instructions", "previous_response_id", "user", "safety_identifier", "service_tier"], SCALARS),
    **dict.fromkeys(
        ["reasoning", "text", "metadata", "thinkgate", "stream_options", "chat_template_kwargs", "image", "thinking"],
        st.dictionaries(st.sampled_from(["effort", "format", "summary", "dial", "type"]), VALUES | FORMATS) | VALUES,
    ),
    "model": SCALARS,
    "input": ITEMS | SCALARS,
    "tools": FLAT_TOOLS | TOOLS | VALUES,
    "tool_choice": st.sampled_from(["auto", "required"]) | FLAT_TOOLS.map(lambda tools: (tools or [1])[0]),
    "include": st.lists(WORDS | st.sampled_from(["thinkgate", "reasoning.encrypted_content"])) | VALUES,
}


@st.composite
def response_bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Right in most of their fields, and perhaps wrong in one or two."""
    body = {"model": draw(st.sampled_from(MODELS)), "input": draw(RIGHT["input"])}
    body |= {name: draw(RIGHT[name]) for name in draw(st.lists(st.sampled_from(sorted(RIGHT)), max_size=6))}
    wrong = draw(st.lists(st.sampled_from(sorted(WRONG)), max_size=2))
    return body | {name: draw(WRONG[name]) for name in wrong}


@QUICK
@given(response_bodies())
def test_any_body_becomes_a_plan_or_an_error(body: dict[str, Any]) -> None:
    raw = orjson.dumps(body)
    asked = ParsedRequest(json_object.read(raw, 64), len(raw), {}, "id", ANONYMOUS)
    try:
        call = asyncio.run(read_call(asked, catalogue(), STORE, SEAL, 1000))
    except GatewayError as error:
        told = errors.fields(error)
        assert 400 <= error.status < 500 and told["message"] and told["param"] and told["code"]
        return
    for _, sent in plans(call, catalogue().find(call.model)):
        assert sent["messages"] and all(isinstance(message["role"], str) for message in sent["messages"])


@QUICK
@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(["content", "reasoning", "reasoning_content", "refusal"], WORDS | SCALARS),
            "tool_calls": st.lists(CALLS | VALUES, max_size=3) | SCALARS,
        },
    )
    | VALUES,
    VALUES | st.builds(lambda tokens: {"content": tokens}, st.lists(VALUES)),
    st.booleans(),
)
def test_any_answer_becomes_items_or_an_error(message: Any, logprobs: Any, complete: bool) -> None:
    output = OutputItems(wanted(logprobs=True, sealed=True, summary="auto"), SEAL.bound(None, "m"), ResponseEvents())
    with contextlib.suppress(BackendFailed):
        output.add(message, logprobs)
    items, _ = output.finish(complete)
    assert items or not complete
    orjson.dumps(items)
