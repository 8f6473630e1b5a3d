"""A backend for raw completions and embeddings."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from typing import Any

from tests.gateway.scripted import MODEL, Connection

VECTOR = [0.25, -0.5, 1.0]
COMPLETION: dict[str, Any] = {"model": "merged", "prompt": "Once upon"}
EMBEDDING: dict[str, Any] = {"model": "merged", "input": "Once upon"}


def text_answer(tokens: int = 4) -> dict[str, Any]:
    choice = {"index": 0, "text": " a time", "logprobs": None, "finish_reason": "length"}
    usage = {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}
    answer = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": MODEL}
    return {**answer, "choices": [choice], "usage": usage, "kept": {"as": "it is"}}


async def raw(connection: Connection) -> None:
    """A correct answer of either kind; completions use their whole limit."""
    body = connection.request.body
    if connection.request.path.endswith("/embeddings"):
        told: Any = VECTOR
        if body.get("encoding_format") == "base64":
            told = b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
        data = [{"object": "embedding", "index": 0, "embedding": told}]
        answer = {"object": "list", "data": data, "model": MODEL, "usage": {"prompt_tokens": 3, "total_tokens": 3}}
        await connection.answer(200, json.dumps(answer).encode())
        return
    answer = text_answer(body.get("max_tokens", 16) or 99)
    if not body.get("stream"):
        await connection.answer(200, json.dumps(answer).encode())
        return
    await connection.begin_stream()
    (choice,) = answer.pop("choices")
    usage = answer.pop("usage")
    for text, reason in ((" a", None), (" time", "length")):
        await connection.event({**answer, "choices": [{**choice, "text": text, "finish_reason": reason}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        await connection.event({**answer, "choices": [], "usage": usage})
    await connection.event("[DONE]")
    await connection.end_stream()
