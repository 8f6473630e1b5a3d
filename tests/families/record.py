"""Wire fixtures: what goes out to each family for every effort that a client may name, and what the client gets back.

    python -m tests.families.record

writes them anew, one file for each family, from a gateway in front of a scripted backend. Read the difference before
committing it: a fixture is right when its family's documentation says so, not because the gateway did it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from gateway.families import table
from tests.families.forms import in_its_form
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend

FOLDER = Path(__file__).parent / "fixtures"
LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
ASKED: Mapping[str, dict[str, Any]] = {
    "auto": {},
    **{level: {"reasoning_effort": level} for level in LEVELS},
    "3 tokens": {"thinking_token_budget": 3},
    "3000 tokens": {"thinking_token_budget": 3000},
    "unlimited": {"thinking_token_budget": -1},
}
QUESTION = {"role": "user", "content": "What is 2+2?"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 2}'}}
# Two turns: one that ended with an answer, and one that is in the middle of a tool loop.
TURNS: list[dict[str, Any]] = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hello!", "reasoning": "a greeting"},
    QUESTION,
    {"role": "assistant", "content": "", "reasoning": "I need a sum", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "4"},
]
# Messages of the system after an answer and after a tool's result.
REMINDED: list[dict[str, Any]] = [
    *TURNS[:2],
    {"role": "system", "content": "Be brief."},
    *TURNS[2:],
    {"role": "system", "content": "No lists."},
]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]
LIMITS = ("max_tokens", "max_completion_tokens")
SAME_EVERYWHERE = ("model", "messages", "stream", "stream_options", "tools", *LIMITS)
STRICT = " strictly"


def rows() -> list[tuple[str, str]]:
    """Every family with every engine that serves it."""
    known = table.shipped()
    return [(name, engine) for name in known.names() for engine in known.engines(name)]


@dataclass
class Recorder:
    """Asks a gateway and sees what its backend was told."""

    client: httpx.Client
    backend: ScriptedBackend

    def post(self, model: str, **body: Any) -> httpx.Response:
        return self.client.post("/v1/chat/completions", json={"model": model, "messages": [QUESTION], **body})

    def ask(self, model: str, **body: Any) -> httpx.Response:
        reply = self.post(model, **body)
        assert reply.status_code == 200, reply.text
        return reply

    def told(self) -> dict[str, Any]:
        """The part of the latest request that says how hard to think."""
        return {name: value for name, value in sorted(self.backend.last.items()) if name not in SAME_EVERYWHERE}


@contextmanager
def recorder() -> Iterator[Recorder]:
    """In front of one backend, a gateway with a model for each row, and one that is strict."""
    with ScriptedBackend(in_its_form) as backend, tempfile.TemporaryDirectory() as folder:
        deployments = {}
        models = {}
        for name, engine in rows():
            model = f"{name}@{engine}"
            deployments[model] = {"url": backend.url, "family": name, "engine": engine}
            both = {"deployment": model} if table.shipped().family(name).hybrid else {"none": model, "think": model}
            policy = {"kind": "client", "default_effort": "medium"}
            models[model] = {**both, "policy": policy, "strict": False}
            models[model + STRICT] = {**both, "policy": policy, "strict": True}
        table_of_all = {"deployments": deployments, "models": models}
        with (
            RunningGateway(table_of_all, Path(folder)) as running,
            running.http(timeout=20) as client,
        ):
            yield Recorder(client, backend)


def fixture(name: str, to: Recorder) -> dict[str, Any]:
    """All of one family, engine by engine."""
    found = {}
    for engine in table.shipped().engines(name):
        model = f"{name}@{engine}"
        found[engine] = {
            "asked": {asked: _asked(model, body, to) for asked, body in ASKED.items()},
            "thoughts_go_back": _history(model, to),
            "reminded": _reminded(model, to),
            "limit": _limit(model, to),
            "answer": _answer(model, to),
            "stream": _stream(model, to),
        }
    return found


def _asked(model: str, body: Mapping[str, Any], to: Recorder) -> dict[str, Any]:
    """What is told, what that is called, what the client is told of it; and whether a strict model refuses it."""
    reply = to.ask(model, include=["thinkgate"], **body)
    account = reply.json()["thinkgate"]
    seen = {
        "told": to.told(),
        "applied": account["applied"],
        "notes": account["notes"],
        "effort": reply.headers.get("x-thinkgate-effort"),
        "budget": reply.headers.get("x-thinkgate-budget"),
    }
    strict = to.post(model + STRICT, **body)
    if strict.status_code != 200:
        error = strict.json()["error"]
        assert (strict.status_code, error["type"]) == (400, "invalid_request_error"), error
        seen["refused_strictly"] = {"param": error["param"], "message": error["message"]}
    return seen


def _history(model: str, to: Recorder) -> dict[str, Any]:
    """The answers of earlier turns as they go out, and what is told that is not told without thoughts among them."""
    to.ask(model, tools=TOOLS, reasoning_effort="high")
    without = to.told()
    to.ask(model, messages=TURNS, tools=TOOLS, reasoning_effort="high")
    answers = [one for one in to.backend.last["messages"] if one["role"] == "assistant"]
    return {"answers": answers, "told_besides": _besides(to.told(), without)}


def _reminded(model: str, to: Recorder) -> list[dict[str, Any]]:
    """Who says what, where the system speaks late: all but the answers, as it goes out."""
    to.ask(model, messages=REMINDED, tools=TOOLS, reasoning_effort="high")
    said = ((message["role"], message["content"]) for message in to.backend.last["messages"])
    return [{"role": role, "content": content} for role, content in said if role in ("user", "system")]


def _limit(model: str, to: Recorder) -> dict[str, Any]:
    """The fields that hold a client's limit on all tokens."""
    to.ask(model, max_tokens=9000, reasoning_effort="low")
    return {name: to.backend.last[name] for name in LIMITS if name in to.backend.last}


def _answer(model: str, to: Recorder) -> dict[str, Any]:
    reply = to.ask(model, reasoning_effort="high").json()
    return {"message": reply["choices"][0]["message"], "usage": reply["usage"]}


def _stream(model: str, to: Recorder) -> list[dict[str, Any]]:
    """The deltas and the usage, in order."""
    text = to.ask(model, reasoning_effort="high", stream=True, stream_options={"include_usage": True}).text
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    events = [json.loads(line) for line in lines]
    return [event["choices"][0]["delta"] if event["choices"] else {"usage": event["usage"]} for event in events]


def _besides(more: Mapping[str, Any], less: Mapping[str, Any]) -> dict[str, Any]:
    """What is in one object and not in another, objects into objects."""
    found: dict[str, Any] = {}
    for name, value in more.items():
        if isinstance(value, Mapping):
            inner = _besides(value, less.get(name) or {})
            if inner:
                found[name] = inner
        elif name not in less or less[name] != value:
            found[name] = value
    return found


def text(value: Any, open_levels: int = 3, indent: str = "") -> str:
    """JSON with a line for each thing that is to be compared by eye: objects are opened only so deep."""
    if not open_levels or not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    inner = indent + " "
    lines = [f"{inner}{json.dumps(name)}: {text(one, open_levels - 1, inner)}" for name, one in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def path(name: str) -> Path:
    return FOLDER / f"{name}.json"


@cache
def read(name: str) -> dict[str, Any]:
    """The fixture of a family; everybody's, so nobody changes it."""
    recorded: dict[str, Any] = json.loads(path(name).read_text("utf-8"))
    return recorded


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    names = table.shipped().names()
    for stale in FOLDER.glob("*.json"):
        if stale.stem not in names:
            stale.unlink()
    with recorder() as to:
        for name in names:
            path(name).write_text(text(fixture(name, to)) + "\n", "utf-8")
    print(f"{len(names)} families in {FOLDER}", file=sys.stderr)


if __name__ == "__main__":
    main()
