"""An agent's loop keeps its effort, and tokens that would be read again are priced and shown."""

from __future__ import annotations

import json
from itertools import pairwise, starmap
from operator import ne
from random import Random
from typing import Any

import pytest

from gateway.commands.explain import lines
from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.efforts import Effort
from gateway.core.prices import FREE
from gateway.core.record import Record
from gateway.routing.prices.protocol import PriceContext, Surroundings
from gateway.routing.prices.sticky import MOST_CONVERSATIONS, Sticky, StickySettings
from gateway.routing.prices.tool_results import has_failed, latest_results
from gateway.routing.recorded_decision import explain_record
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


FAILED = (
    "Error: no such file",
    "Error",
    "Traceback (most recent call last):\n  File ...",
    "bash: foo: command not found",
    "Exit code: 1\nWall time: 2 s",
    "some output\nexit status 2",
    "collected 4 items\n=== 1 failed, 3 passed in 2s ===",
    "a.py\nValueError: bad",
    "<tool_use_error>File has not been read</tool_use_error>",
    '{"output": "x", "metadata": {"exit_code": 1}}',
    '{"error": "not found"}',
    '{"ok": false}',
)
WENT_WELL = (
    "Error handling in Go is explicit",
    "errors are documented here\nsee below",
    "Exit code: 0\nfine",
    "=== 3 passed in 1s ===",
    "def f():\n    raise ValueError('x')",
    '{"error": null, "ok": true, "exit_code": 0}',
    '{"broken": ',
    "",
)


def test_only_plain_signs_of_failure_count() -> None:
    assert [text for text in FAILED if not has_failed(text)] == []
    assert [text for text in WENT_WELL if has_failed(text)] == []


def test_what_agents_add_to_results_is_no_new_turn() -> None:
    reminder = {"type": "text", "text": "<system-reminder>Be brief.</system-reminder>\n"}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    tool = {"role": "tool", "content": "5"}

    def results(*messages: dict[str, Any]) -> list[str]:
        said = [{"role": "user", "content": "q"}, {"role": "assistant", "content": None}]
        return latest_results(Call("id", "chat", "m", {"messages": [*said, *messages]}))

    assert results(tool, {**tool, "content": [{"type": "text", "text": "6"}]}) == ["6", "5"]
    assert results(tool, {"role": "user", "content": [reminder, image]}) == ["5"]
    assert results(tool, {"role": "system", "content": "now plan"}) == ["5"]
    assert results(tool, {"role": "user", "content": [reminder, {"type": "text", "text": "stop"}]}) == []
    assert results({"role": "user", "content": "hi"}) == []


def chat_loop(number: int, failed: bool) -> tuple[str, dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": TASKS[0]}]
    for one in range(number):
        call = {"id": f"c{one}", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        text = "Error: no such file" if failed and one == number - 1 else "5"
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{one}", "content": text})
    return "/v1/chat/completions", {"messages": messages}


def messages_loop(number: int, failed: bool) -> tuple[str, dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": TASKS[0]}]
    for one in range(number):
        use = {"type": "tool_use", "id": f"c{one}", "name": "look", "input": {}}
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": f"c{one}", "content": "5"}
        if failed and one == number - 1:
            result["is_error"] = True
        messages.append({"role": "assistant", "content": [use]})
        messages.append({"role": "user", "content": [result]})
    return "/v1/messages", {"messages": messages, "max_tokens": 4096}


def responses_loop(number: int, failed: bool) -> tuple[str, dict[str, Any]]:
    items: list[dict[str, Any]] = [{"role": "user", "content": TASKS[0]}]
    for one in range(number):
        text = "Exit code: 1\nno such file" if failed and one == number - 1 else "Exit code: 0\n5"
        items.append({"type": "function_call", "call_id": f"c{one}", "name": "look", "arguments": "{}"})
        items.append({"type": "function_call_output", "call_id": f"c{one}", "output": text})
    return "/v1/responses", {"input": items, "store": False}


def test_a_failed_tool_lets_the_effort_be_decided_anew_in_every_dialect(backend: ScriptedBackend, start: Start) -> None:
    gateway = start(table(backend.url, {"kind": "sticky"}))
    for loop in (chat_loop, messages_loop, responses_loop):
        reasons, efforts = [], []
        for number in range(STEPS):
            path, body = loop(number, failed=number == 10)
            name = "user_id" if loop is messages_loop else "conversation_id"
            named = {"model": "agent", "metadata": {name: loop.__name__}}
            answer = gateway.post({**body, **named}, path)
            assert answer.status_code == 200, answer.text
            reasons.append(answer.headers["x-thinkgate-reason"])
            efforts.append(answer.headers["x-thinkgate-effort"])
        decided = [number for number, reason in enumerate(reasons) if reason != "sticky"]
        assert decided == [0, 10], (loop.__name__, reasons)
        assert {*efforts[:10]} == {efforts[0]} and {*efforts[10:]} == {efforts[10]}


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
    told = [*lines(explain_record(Record(**{name: row[name] for name in Record._fields})))]
    (head,) = (line for line in told if "P(correct)  " in line)
    assert "read again" in head and any("sticky: 0.5 a prompt token read again" in line for line in told)


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
