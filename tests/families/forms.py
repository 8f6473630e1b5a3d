"""What a backend answers, in the form of each engine and API: where the thought is, and how its tokens are counted."""

from __future__ import annotations

import json
from typing import Any

from gateway.families import table
from tests.gateway.scripted import Connection

THOUGHT = "two and two"
ANSWER = "four"
THOUGHT_TOKENS = 5


def answer(family: str, engine: str) -> dict[str, Any]:
    """A plain answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER, **_thought(family, engine)}}
    return {
        **_head(family, engine, "chat.completion"),
        "choices": [{**choice, "finish_reason": "stop"}],
        **_usage(family, engine),
    }


def events(family: str, engine: str) -> list[dict[str, Any]]:
    """A stream: the role, the thought, the answer, the end, and the usage."""
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    thought = _thought(family, engine)
    if thought:
        deltas.append((thought, None))
    deltas += [({"content": ANSWER}, None), ({}, "stop")]
    head = _head(family, engine, "chat.completion.chunk")
    told = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas]
    return [*told, {**head, "choices": [], **_usage(family, engine)}]


async def in_its_form(connection: Connection) -> None:
    """Answers a request for the model `FAMILY@ENGINE` in that form."""
    body = connection.request.body
    family, _, engine = body["model"].partition("@")
    if not body.get("stream"):
        await connection.answer(200, json.dumps(answer(family, engine)).encode())
        return
    await connection.begin_stream()
    for event in events(family, engine):
        await connection.event(event)
    await connection.event("[DONE]")
    await connection.end_stream()


def _head(family: str, engine: str, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": f"{family}@{engine}"}


def _thought(family: str, engine: str) -> dict[str, Any]:
    row = table.shipped().family(family, engine)  # type: ignore[arg-type]
    if row.on is None or not row.answer_field:
        return {}
    if family == "openrouter":
        details = [{"type": "reasoning.text", "text": THOUGHT, "format": "unknown", "index": 0}]
        return {"reasoning": THOUGHT, "reasoning_details": details}
    return {row.answer_field: THOUGHT}


def _usage(family: str, engine: str) -> dict[str, Any]:
    """Tokens as counted there: OpenAI's details; SGLang also has its own field; Anthropic's surface has neither."""
    counts: dict[str, Any] = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}
    if table.shipped().family(family, engine).usage_field and family != "instruct":  # type: ignore[arg-type]
        counts["completion_tokens_details"] = {"reasoning_tokens": THOUGHT_TOKENS}
        if engine == "sglang":
            counts["reasoning_tokens"] = THOUGHT_TOKENS
    return {"usage": counts}
