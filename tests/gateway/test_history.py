"""Thoughts of earlier turns: kept where the family wants them, under its own name, and dropped on purpose elsewhere."""

from __future__ import annotations

import copy
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.family import Family
from gateway.families.history import reasoning_history, thought
from tests.gateway.bounded import QUICK

History = Literal["drop", "tools", "keep"]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "1", "reasoning": "first thought"},
    {"role": "user", "content": "two"},
    {"role": "assistant", "content": None, "reasoning_content": " second\nthought ", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "ok"},
]


def family(history: History, name: str = "reasoning") -> Family:
    return Family("f", "", True, history=history, history_field=name)


@pytest.mark.parametrize(
    ("history", "kept"),
    [("drop", []), ("tools", [" second\nthought "]), ("keep", ["first thought", " second\nthought "])],
)
@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", "reasoning_details"])
def test_what_goes_back(history: History, kept: list[str], name: str) -> None:
    before = copy.deepcopy(TALK)
    notes: list[str] = []
    messages, any_kept = reasoning_history(TALK, family(history, name), notes)
    assert before == TALK, "the client's own messages are not changed"
    assert [thought(message) for message in messages if thought(message)] == kept
    assert any_kept == bool(kept)
    for message, was in zip(messages, TALK, strict=True):
        names = {"reasoning", "reasoning_content", "reasoning_details"} & message.keys()
        assert names <= {name} and message["content"] == was["content"] and message["role"] == was["role"]
    assert notes == (
        [f"family f takes no reasoning of earlier turns: {2 - len(kept)} left out"] if len(kept) < 2 else []
    )


def test_nothing_is_touched_where_nothing_is_known() -> None:
    messages, kept = reasoning_history(TALK, Family("plain", "", True, passes_through=True), [])
    assert messages is TALK and not kept


def test_details_go_back_as_they_came() -> None:
    details = [{"type": "reasoning.encrypted", "data": "xyz"}, {"type": "reasoning.text", "text": "hm"}]
    talk = [{"role": "assistant", "content": "1", "reasoning": "hm", "reasoning_details": details}]
    (same,), _ = reasoning_history(talk, family("keep", "reasoning_details"), [])
    assert same == {"role": "assistant", "content": "1", "reasoning_details": details}
    (text,), _ = reasoning_history([{"role": "assistant", "reasoning_details": details}], family("keep"), [])
    assert text == {"role": "assistant", "reasoning": "hm"}


NAMES = st.sampled_from(["reasoning", "reasoning_content", "reasoning_details"])


@QUICK
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5), st.lists(NAMES, min_size=1, max_size=6))
def test_a_thought_survives_any_hops_byte_for_byte(thoughts: list[str], hops: list[str]) -> None:
    talk: Any = [{"role": "assistant", "content": "x", "reasoning": text} for text in thoughts]
    for name in hops:
        talk, _ = reasoning_history(talk, family("keep", name), [])
    assert [thought(message) for message in talk] == thoughts


def test_what_is_said_right_after_a_result_is_said_inside_the_loop() -> None:
    on, now = {"role": "user", "content": "on"}, {"role": "system", "content": "now"}
    for beside in ([], [on], [on, on], [now], [now, on], [on, now, on]):
        messages, _ = reasoning_history([*TALK, *beside], family("tools"), [])
        assert [message["reasoning"] for message in messages if "reasoning" in message] == [" second\nthought "]
    answered = [*TALK, {"role": "assistant", "content": "2"}, {"role": "user", "content": "three"}]
    assert reasoning_history(answered, family("tools"), [])[1] is False
