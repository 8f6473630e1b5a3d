"""An agent's loop keeps its effort, and tokens that would be read again are priced and shown."""

from __future__ import annotations

import json
from itertools import pairwise, starmap
from operator import ne
from random import Random
from typing import Any

import pytest

from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.efforts import Effort
from gateway.core.prices import FREE
from gateway.core.record import Record
from gateway.routing.prices.protocol import PriceContext, Surroundings
from gateway.routing.prices.sticky import MOST_CONVERSATIONS, Sticky, StickySettings
from tests.gateway.conftest import Start
from tests.gateway.scripted import ScriptedBackend
from tests.gateway.test_decisions_stay import COMMON, DIAL
from tests.gateway.traffic import ARM, Clock

STEPS = 20
TASKS = (
    "Running total: 12 + 9 + 5 + 31 + 44",
    "Assign a category out of account, billing.\nText: my parcel is late",
    "hi",
)


def table(url: str, *prices: dict[str, Any]) -> dict[str, Any]:
    deployment = {"url": url, "family": "qwen3-2507", "verify": False}
    return {
        "deployments": {
            "instruct": {**deployment, "model": "a", "router_name": "tiny-instruct"},
            "thinking": {**deployment, "model": "b", "router_name": "tiny-thinking"},
        },
        "models": {
            "agent": {
                "none": "instruct",
                "think": "thinking",
                "router": "tiny",
                "policy": {**DIAL, "probe": "never"},
                "prices": [*prices],
                **COMMON,
            }
        },
    }


def step(rng: Random, number: int) -> list[dict[str, Any]]:
    """A tool call and its result, which is about something else each time."""
    call = {"id": f"c{number}", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    text = " ".join(rng.choice(TASKS) for _ in range(rng.randint(1, 3)))
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": text},
    ]


def run(gateway: Any, conversation: str) -> list[tuple[str, str]]:
    """Twenty steps of an agent under one user turn; the effort and the reason of each."""
    rng, seen = Random(3), []
    messages: list[dict[str, Any]] = [{"role": "user", "content": TASKS[0]}]
    for number in range(STEPS):
        asked = {"model": "agent", "messages": messages, "metadata": {"conversation_id": conversation}}
        answer = gateway.post(asked)
        assert answer.status_code == 200, answer.text
        seen.append((answer.headers["x-thinkgate-effort"], answer.headers["x-thinkgate-reason"]))
        messages = [*messages, *step(rng, number)]
    return seen


def test_an_agents_loop_keeps_the_effort_of_its_turn(backend: ScriptedBackend, start: Start) -> None:
    free = [effort for effort, _ in run(start(table(backend.url)), "loop")]
    assert sum(starmap(ne, pairwise(free))) >= 1, "without it, it changes"
    gateway = start(table(backend.url, {"kind": "sticky"}))
    held = run(gateway, "loop")
    assert {effort for effort, _ in held} == {held[0][0]}
    assert [reason for _, reason in held[1:]] == ["sticky"] * (STEPS - 1) and held[0][1] != "sticky"
    answered = {"role": "assistant", "content": "5"}
    turn = [{"role": "user", "content": TASKS[0]}, answered, {"role": "user", "content": "hi"}]
    asked = {"model": "agent", "messages": turn, "metadata": {"conversation_id": "loop"}}
    assert gateway.post(asked).headers["x-thinkgate-reason"] != "sticky", "a new turn is decided anew"


def test_tokens_read_again_are_priced_and_shown(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(table(backend.url, {"kind": "sticky", "price_of_rereading": 0.5}))
    long = {"role": "user", "content": TASKS[0] + " and so on" * 50}
    first = {"model": "agent", "messages": [long], "metadata": {"conversation_id": "c"}, "reasoning_effort": "none"}
    assert gateway.post(first).headers["x-thinkgate-effort"] == "none"
    second = {key: value for key, value in first.items() if key != "reasoning_effort"}
    second["messages"] = [long, {"role": "assistant", "content": "1"}, {"role": "user", "content": TASKS[0]}]
    shown = gateway.post(second, "/v1/decide").json()
    reread = {one["effort"]: one["reread_tokens"] for one in shown["efforts"]}
    assert reread["none"] == 0 and all(tokens > 100 for effort, tokens in reread.items() if effort != "none")
    assert shown["prices"]["setters"]["sticky"]["reread"] == 0.5
    assert shown["decision"]["effort"] in ("none", "64"), "another deployment is too dear now"
    assert gateway.post(second).status_code == 200
    row = gateway.records()[-1]
    assert json.loads(row["prices"])["sticky"] == {"reread": 0.5}
    assert {len(one) for one in json.loads(row["forecast"])} == {5, 6}


@pytest.mark.parametrize(
    ("changes", "kept"), [({}, True), ({"finish_reason": "length"}, False), ({"status": 503}, False)]
)
def test_what_went_wrong_frees_the_effort_and_memory_is_bounded(changes: dict[str, Any], kept: bool) -> None:
    clock = Clock()
    sticky = StickySettings(kind="sticky").setter(Surroundings("m", clock=clock))
    assert isinstance(sticky, Sticky)
    call = Call("id", "chat", "m", {"messages": [{"role": "tool", "content": "5"}]}, size=4000)

    def context(unit: str) -> PriceContext:
        return PriceContext("id", call, ARM, unit)

    sticky.decided(context("u"), Decision(Effort(True, 64), "router", 1.0, FREE))
    sticky.observe(Record("id", "id", 0.0, "chat", **{"status": 200, "unit": "u", **changes}))
    recalled = sticky.recall(context("u"))
    assert recalled is not None and (recalled.effort == Effort(True, 64)) == kept and recalled.tokens == 1000
    clock.now = 3601.0
    assert sticky.recall(context("u")) is None
    for number in range(MOST_CONVERSATIONS + 10):
        sticky.decided(context(str(number)), Decision(Effort(True, 64), "router", 1.0, FREE))
    assert sticky.recall(context("0")) is None and sticky.recall(context("20")) is not None
