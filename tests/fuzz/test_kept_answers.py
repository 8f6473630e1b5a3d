"""What backends stream where the gateway keeps the budget: whatever it is, it becomes events or one of our errors."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway import assembly
from gateway.backends.capabilities import Marks
from gateway.config.settings import parse
from gateway.core.call import Call
from gateway.core.efforts import Effort
from gateway.core.errors import GatewayError
from gateway.core.plan import Plan
from gateway.execution.enforcement.aggregator import StreamAggregator
from gateway.execution.enforcement.truncation import Truncator
from gateway.execution.enforcement.two_phase import FirstPhase, SecondPhase, ThoughtBudget
from gateway.execution.outcome import USUAL_END
from gateway.execution.probe.buffered import LogprobSink
from gateway.execution.streaming.chat_stream import ChatStream
from gateway.execution.streaming.logprobs import Logprobs
from gateway.execution.streaming.output_stats import OutputStats
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
HYBRID = assembly.deployments(parse(table("http://nowhere/v1")))["hybrid"]


@QUICK
@given(st.lists(CHUNK, max_size=6), st.booleans(), st.integers(1, 2), st.integers(1, 4))
def test_any_stream_becomes_events_or_an_error(chunks: list[Any], shows: bool, choices: int, budget: int) -> None:
    body = {"messages": [], "return_token_ids": shows, "include_reasoning": not shows}
    call = Call("r", "chat", "m", body, choices=choices)
    plan = Plan(HYBRID, Effort(True, budget), {})
    for listener in (
        FirstPhase(plan, call, ThoughtBudget(budget, MARKS, USUAL_END)),
        SecondPhase({}, ("</think>",), shows),
        Truncator(budget, call, MARKS),
        Truncator(budget, call, None),
        LogprobSink(Logprobs(), shows),
    ):
        whole = StreamAggregator()
        heard, joined = ChatStream(listener, 10_000), ChatStream(whole, 10_000, OutputStats("</think>"))
        try:
            for chunk in chunks:
                joined.feed(heard.feed(b"data: " + orjson.dumps(chunk) + b"\n\n"))
            orjson.dumps(whole.body())
        except GatewayError as error:
            orjson.loads(error.body())
        if isinstance(listener, Truncator):
            assert listener.spent <= budget * choices
        if isinstance(listener, FirstPhase) and listener.prompt:
            assert listener.spent <= budget
