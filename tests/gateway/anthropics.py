"""Helpers for tests of the Messages dialect: requests without the SDK, events of a stream, backend answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx

from tests.gateway.bounded import whole
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ANSWER, Connection, Script, delta, usage_chunk

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
HI: list[Any] = [{"role": "user", "content": "hi"}]
ASK: dict[str, Any] = {"model": "merged", "max_tokens": 5000, "messages": HI}
TOOL: dict[str, Any] = {
    "name": "look",
    "description": "Looks at a thing",
    "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
}


def ask(gateway: RunningGateway, path: str = MESSAGES, headers: Mapping[str, str] | None = None, **fields: Any) -> Any:
    return gateway.post({**ASK, **fields}, path, headers=dict(headers or {}))


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream. Asserts that their names equal their types."""
    told = []
    for block in answer.text.strip().split("\n\n"):
        name, data = block.split("\n")
        told.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {told[-1]['type']}"
    return told


def answering(finish_reason: str = "stop", stop_reason: Any = None, **message: Any) -> Script:
    """A backend that answers with this message, not streamed."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    body = {**ANSWER, "choices": [{**choice, "stop_reason": stop_reason}]}

    async def script(connection: Connection) -> None:
        await connection.answer(200, json.dumps(body).encode())

    return script


def streaming(*deltas: Mapping[str, Any], finish_reason: str = "stop", stop_reason: Any = None) -> Script:
    """A backend that streams these deltas and then the usage."""

    async def script(connection: Connection) -> None:
        await connection.begin_stream()
        for one in deltas:
            await connection.event(delta(**one))
        last = delta(finish_reason)
        last["choices"][0]["stop_reason"] = stop_reason
        await connection.event(last)
        await connection.event(usage_chunk())
        await connection.event("[DONE]")
        await connection.end_stream()

    return script


def call(name: str, arguments: str, id: str = "call-1", index: int = 0) -> dict[str, Any]:
    return {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def sensible(body: dict[str, Any]) -> dict[str, Any]:
    """Fix what a schema cannot express: a known model, valid signatures, calls with results, room for thinking."""
    body = {**whole(body), "model": "merged"}
    body["messages"] = [*map(_turn_alone, body["messages"]), *HI]
    if isinstance(body.get("thinking"), dict) and body["thinking"].get("budget_tokens"):
        body["thinking"]["budget_tokens"] = min(body["thinking"]["budget_tokens"], 4000)
        body["max_tokens"] = 5000
        body.pop("output_config", None)
    for name in ("tools", "tool_choice"):
        body.pop(name, None) if len(body.get("tools") or ()) != 1 else None
    choice = body.get("tool_choice") or {}
    if "name" in choice:
        choice["name"] = body["tools"][0]["name"]
    return body


def _turn_alone(turn: dict[str, Any]) -> dict[str, Any]:
    """Remove reasoning, calls and results, as each of them needs a matching one."""
    content = turn["content"]
    if isinstance(content, list):
        alone = ("text", "image", "document", "search_result")
        kept = [block for block in content if block["type"] in alone]
        return {**turn, "content": kept or "nothing"}
    return turn
