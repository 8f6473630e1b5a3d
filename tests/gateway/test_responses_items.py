"""The translation, for any conversation: what a model said, told as items, comes back to it as it was."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.api.dropped_thoughts import DroppedThoughts
from gateway.api.fields import Fields
from gateway.api.responses.call import ResponseSpec
from gateway.api.responses.conversation import messages_of, without_old_reasoning
from gateway.api.responses.events import ResponseEvents
from gateway.api.responses.ids import new_response_id
from gateway.api.responses.input_items import read_items
from gateway.api.responses.output import OutputItems
from gateway.api.responses.tools import custom_arguments
from gateway.auth.seal import Seal
from gateway.core.efforts import LEVELS
from tests.gateway import response_events
from tests.gateway.bounded import FEW

Json = dict[str, Any]
SEAL = Seal(["a secret for tests of sufficient length"]).bound(None, "m")
TEXT = st.text(min_size=1, max_size=20)
CUSTOM = "run_sql"


def wanted(**changes: Any) -> ResponseSpec:
    given: Json = {
        "id": new_response_id(), "created": 1, "items": [], "previous": None, "root": "", "unit": "u", "echo": {},
        "store": False, "sealed": False, "summary": None, "logprobs": False, "custom": frozenset({CUSTOM}),
        "effort": None, "context": "auto",
    }  # fmt: skip
    return ResponseSpec(**{**given, **changes})


@st.composite
def answers(draw: st.DrawFn) -> Json:
    """What an assistant may say in one go."""
    message: Json = {"role": "assistant", "content": draw(st.none() | TEXT.filter(lambda text: not text.isspace()))}
    if draw(st.booleans()):
        message["reasoning"] = draw(TEXT)
    calls = draw(st.lists(st.sampled_from(["look", "write", CUSTOM]), max_size=3))
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{draw(st.uuids())}", "type": "function", "function": draw(functions(name))} for name in calls
        ]
    elif message["content"] is None:
        message["content"] = draw(TEXT)
    return message


def functions(name: str) -> st.SearchStrategy[Json]:
    arguments = TEXT if name != CUSTOM else TEXT.map(custom_arguments)
    return st.builds(lambda text: {"name": name, "arguments": text}, arguments)


@st.composite
def conversations(draw: st.DrawFn) -> list[Json]:
    """A user and an assistant in turn; each call is answered before anything else is said."""
    messages: list[Json] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(TEXT)})
    for answer in draw(st.lists(answers(), max_size=5)):
        messages.append({"role": "user", "content": draw(TEXT)})
        messages.append(answer)
        for call in answer.get("tool_calls", ()):
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": draw(TEXT)})
    messages.append({"role": "user", "content": draw(TEXT)})
    return messages


def told(message: Json, **changes: Any) -> list[Json]:
    """An assistant's message as the items that a client gets."""
    output = OutputItems(wanted(**changes), SEAL, ResponseEvents(silent=True))
    output.add(message, None)
    return output.finish(True)[0]


def sent(messages: list[Json], **changes: Any) -> list[Json]:
    """A conversation as a client sends it that keeps all it got."""
    items: list[Json] = []
    kinds = {
        call["id"]: "custom_tool_call_output" if call["function"]["name"] == CUSTOM else "function_call_output"
        for message in messages
        for call in message.get("tool_calls", ())
    }
    for message in messages:
        if message["role"] == "assistant":
            items += told(message, **changes)
        elif message["role"] == "tool":
            call = message["tool_call_id"]
            items.append({"type": kinds[call], "call_id": call, "output": message["content"]})
        else:
            items.append({"role": message["role"], "content": message["content"]})
    return items


def read(items: list[Json]) -> list[Json]:
    return read_items(Fields({"input": items}), new_response_id(), SEAL, [], {}, 1000, LEVELS, DroppedThoughts())


@FEW
@given(conversations())
def test_a_conversation_comes_back_byte_for_byte(messages: list[Json]) -> None:
    assert messages_of(read(sent(messages))) == messages


@FEW
@given(conversations())
def test_so_it_does_sealed_or_as_a_summary(messages: list[Json]) -> None:
    sealed = sent(messages, sealed=True)
    summarised = sent(messages, summary="auto")
    for item in (*sealed, *summarised):
        item.pop("content" if item.get("type") == "reasoning" else "", None)
    assert all(not item["summary"] for item in sealed if item.get("type") == "reasoning")
    assert messages_of(read(sealed)) == messages_of(read(summarised)) == messages


@FEW
@given(conversations())
def test_what_was_read_once_is_read_the_same_again(messages: list[Json]) -> None:
    items = read(sent(messages))
    assert read(items) == items


@FEW
@given(conversations(), TEXT)
def test_instructions_are_one_message_with_what_the_system_says_first(messages: list[Json], instructions: str) -> None:
    again = messages_of(read(sent(messages)), instructions)
    if messages[0]["role"] == "system":
        assert again[0] == {"role": "system", "content": f"{instructions}\n\n{messages[0]['content']}"}
        assert again[1:] == messages[1:]
    else:
        assert again == [{"role": "system", "content": instructions}, *messages]


@FEW
@given(conversations())
def test_without_old_reasoning_only_those_since_the_last_question_are_left(messages: list[Json]) -> None:
    last = max(index for index, message in enumerate(messages) if message["role"] == "user")
    kept = without_old_reasoning([*messages[: last + 1], {"role": "assistant", "content": "", "reasoning": "now"}])
    assert [message.get("reasoning") for message in kept] == [None] * (last + 1) + ["now"]
    assert [message["content"] for message in kept[:-1]] == [message["content"] for message in messages[: last + 1]]


@st.composite
def pieces(draw: st.DrawFn, message: Json) -> list[Json]:
    """A message as the deltas of a stream, cut anywhere; calls may come interleaved."""

    def cut(text: str) -> list[str]:
        at = draw(st.integers(0, len(text)))
        return [text[:at], text[at:]]

    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    field = draw(st.sampled_from(["reasoning", "reasoning_content"]))
    deltas += [{field: piece} for piece in cut(message.get("reasoning") or "")]
    deltas += [{"content": piece} for piece in cut(message["content"] or "")]
    calls = message.get("tool_calls", ())
    rest = []
    for index, call in enumerate(calls):
        head, tail = cut(call["function"]["arguments"])
        first = {"name": call["function"]["name"], "arguments": head}
        deltas.append({"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": first}]})
        rest.append({"tool_calls": [{"index": index, "function": {"arguments": tail}}]})
    return deltas + draw(st.permutations(rest))


@FEW
@given(answers().flatmap(lambda message: st.tuples(st.just(message), pieces(message))), st.booleans())
def test_a_stream_tells_the_same_items_as_a_whole_answer(both: tuple[Json, list[Json]], summary: bool) -> None:
    message, deltas = both
    asked = wanted(summary="auto" if summary else None)
    events = ResponseEvents()
    output, whole = OutputItems(asked, SEAL, events), OutputItems(asked, SEAL, ResponseEvents(silent=True))
    begun = {"id": asked.id, "created_at": 1, "object": "response", "model": "m", "output": [], "status": "in_progress"}
    begun |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    raw = events("response.created", response=begun) + events("response.in_progress", response=begun)
    for delta in deltas:
        raw += output.add(delta, None)
    items, closing = output.finish(True)
    raw += closing
    raw += events("response.completed", response={**begun, "status": "completed", "output": items})
    assert response_events.check(response_events.read(raw))["output"] == items
    whole.add(message, None)
    assert whole.finish(True)[0] == items


@FEW
@given(st.text(string.printable, max_size=30))
def test_a_custom_tool_gets_the_text_that_the_model_gave(text: str) -> None:
    (item,) = told({"tool_calls": [{"id": "c", "function": {"name": CUSTOM, "arguments": text}}]})
    assert item["type"] == "custom_tool_call" and item["input"] == text
