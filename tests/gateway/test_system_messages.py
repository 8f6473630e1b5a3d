"""Messages of the system in the middle: where they are, or, for templates that refuse them there, with the user's."""

from __future__ import annotations

import copy
from typing import Any

from gateway.core.family import Family
from gateway.families.system import where_allowed
from tests.gateway.anthropics import HI, TOOL, ask
from tests.gateway.conftest import Start, table
from tests.gateway.scripted import MODEL, ScriptedBackend

STRICT = Family("f", "", True, system="first")
NOW = "<system-reminder>\nnow\n</system-reminder>"


def said(*turns: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in turns]


def test_what_a_strict_template_gets() -> None:
    text = [{"type": "text", "text": "see"}]
    begun: list[tuple[str, Any]] = [("system", "be brief"), ("user", "hi"), ("assistant", "yes")]
    for late, told in (
        ([("system", "now")], [("user", NOW)]),
        ([("user", "go"), ("system", "now")], [("user", f"go\n\n{NOW}")]),
        ([("system", "now"), ("user", "go")], [("user", f"{NOW}\n\ngo")]),
        ([("developer", "now"), ("system", "now")], [("user", f"{NOW}\n\n{NOW}")]),
        ([("user", text), ("system", "now")], [("user", [*text, {"type": "text", "text": NOW}])]),
        ([("tool", "x"), ("system", "now")], [("tool", "x"), ("user", NOW)]),
        ([("user", "a"), ("user", "b")], [("user", "a"), ("user", "b")]),
    ):
        notes: list[str] = []
        messages = said(*begun, *late)
        before = copy.deepcopy(messages)
        assert where_allowed(messages, STRICT, notes) == said(*begun, *told)
        assert messages == before and bool(notes) == ("now" in str(late))
        assert where_allowed(messages, Family("f", "", True), []) is messages
    parts = where_allowed(said(*begun, ("system", text)), STRICT, [])[-1]["content"]
    assert "".join(part["text"] for part in parts) == "<system-reminder>\nsee\n</system-reminder>"
    only = said(("system", "a"), ("system", "b"))
    assert where_allowed(only, STRICT, []) is only


def test_a_reminder_in_a_tool_loop_keeps_the_thoughts(backend: ScriptedBackend, start: Start) -> None:
    settings = table(backend.url)
    settings["deployments"]["new"] = {"url": backend.url, "model": MODEL, "family": "qwen3.5"}
    settings["models"]["new"] = {"deployment": "new"}
    gateway = start(settings)
    thought = ask(gateway, model="new", thinking={"type": "adaptive"}).json()["content"][0]
    use = {"type": "tool_use", "id": "a", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": "x"}
    turns = [
        *HI,
        {"role": "assistant", "content": [thought, use]},
        {"role": "user", "content": [result]},
        {"role": "system", "content": "now"},
    ]
    answer = ask(gateway, model="new", messages=turns, tools=[TOOL])
    assert "1 joined the user's" in answer.headers["x-thinkgate-note"]
    user, assistant, tool, reminder = backend.last["messages"]
    assert user == HI[0] and assistant["reasoning"] == "two and two" and tool["role"] == "tool"
    assert reminder == {"role": "user", "content": NOW}
