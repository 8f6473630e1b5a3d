"""What backends stream where the gateway keeps the budget: whatever it is, it becomes events or one of our errors."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway import build
from gateway.abilities import Marks
from gateway.answers.chat_stream import ChatStream
from gateway.answers.logprobs import Logprobs
from gateway.answers.seen import Seen
from gateway.enforcement.cut import Knife
from gateway.enforcement.two_phase import First, Second
from gateway.enforcement.whole import Whole
from gateway.errors import GatewayError
from gateway.probes.held import Listener
from gateway.settings import parse
from gateway.types import Call, Effort, Plan
from tests.gateway.bounded import QUICK
from tests.gateway.conftest import table

MARKS = Marks((1,), (2,), (9,), (3,))
SCALARS = st.none() | st.booleans() | st.integers(-3, 12) | st.sampled_from([0.5, "", "so", "stop", "</think>"])
KEYS = st.sampled_from(["index", "function", "arguments", "name", "content", "reasoning_tokens", "completion_tokens"])
ANY: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda of: st.lists(of, max_size=3) | st.dictionaries(KEYS, of, max_size=3), max_leaves=6
)
IDS = st.lists(st.integers(0, 12), max_size=5)
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "role": SCALARS,
        "content": SCALARS,
        "reasoning": SCALARS,
        "reasoning_content": SCALARS,
        "tool_calls": ANY,
        "refusal": ANY,
    },
)
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(0, 2) | ANY,
        "delta": DELTA | ANY,
        "text": SCALARS,
        "token_ids": IDS | ANY,
        "finish_reason": SCALARS,
        "stop_reason": ANY,
        "logprobs": st.fixed_dictionaries({}, optional={"content": ANY}) | ANY,
    },
)
CHUNK = st.fixed_dictionaries(
    {},
    optional={
        "id": SCALARS,
        "choices": st.lists(CHOICE | ANY, max_size=3) | ANY,
        "usage": st.fixed_dictionaries({}, optional={"completion_tokens_details": ANY, "completion_tokens": ANY}) | ANY,
        "prompt_token_ids": IDS | ANY,
    },
)
HYBRID = build.deployments(parse(table("http://nowhere/v1")))["hybrid"]


@QUICK
@given(st.lists(CHUNK, max_size=6), st.booleans(), st.integers(1, 2), st.integers(1, 4))
def test_any_stream_becomes_events_or_an_error(chunks: list[Any], shows: bool, choices: int, budget: int) -> None:
    body = {"messages": [], "return_token_ids": shows, "include_reasoning": not shows}
    call = Call("r", "chat", "m", body, choices=choices)
    plan = Plan(HYBRID, Effort(True, budget), {})
    for listener in (
        First(plan, call, MARKS),
        Second({}, ("</think>",), shows),
        Knife(budget, call, MARKS),
        Knife(budget, call, None),
        Listener(Logprobs(), shows),
    ):
        whole = Whole()
        heard, joined = ChatStream(listener, 10_000), ChatStream(whole, 10_000, Seen("</think>"))
        try:
            for chunk in chunks:
                joined.feed(heard.feed(b"data: " + orjson.dumps(chunk) + b"\n\n"))
            orjson.dumps(whole.body())
        except GatewayError as error:
            orjson.loads(error.body())
        if isinstance(listener, Knife):
            assert listener.spent <= budget * choices
        if isinstance(listener, First) and listener.prompt:
            assert listener.spent <= budget
