"""Builds and reads small parts of answers: events, deltas and usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.backends.chat_answer import dumped
from gateway.core.aliases import JsonObject
from gateway.core.backend_errors import BackendFailed

NOTHING: JsonObject = {}
_OF_A_CHUNK = ("id", "created", "model", "system_fingerprint")


def event_of(chunk: dict[str, Any]) -> bytes:
    return b"data: " + dumped(chunk) + b"\n\n"


def chunk_like(head: JsonObject, choices: list[JsonObject], **more: Any) -> dict[str, Any]:
    """A chunk of the same answer as the chunk `head`."""
    same = {name: head[name] for name in _OF_A_CHUNK if name in head}
    return {**same, "object": "chat.completion.chunk", "choices": choices, **more}


def piece(delta: JsonObject, finish_reason: str | None = None, more: JsonObject = NOTHING) -> JsonObject:
    """The single choice of a chunk."""
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason, **more}


def limit_reached(index: int = 0) -> JsonObject:
    """The choice that ends an answer as a reached token limit does."""
    return {**piece({}, "length", {"stop_reason": None}), "index": index}


def usage_of(prompt: int, completion: int, thought: int) -> JsonObject:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def with_thought(usage: Any, thought: int) -> JsonObject:
    """A backend's usage with these thinking tokens, unless it reports its own count."""
    given = usage.get("completion_tokens_details")
    details = given if isinstance(given, Mapping) else NOTHING
    if details.get("reasoning_tokens") is not None:
        return dict(usage)
    return {**usage, "completion_tokens_details": {**details, "reasoning_tokens": thought}}


def choices_of(chunk: JsonObject) -> list[dict[str, Any]]:
    """The well-formed choices of a chunk. BackendFailed: the index of one is not an integer."""
    given = chunk.get("choices")
    choices = [choice for choice in given if isinstance(choice, dict)] if isinstance(given, list) else []
    if any(type(choice.get("index", 0)) is not int for choice in choices):
        raise BackendFailed("The backend sent an event that is not a chat completion.")
    return choices


def ids_of(value: Any) -> list[int]:
    """The token ids; empty if the value is not a list of them."""
    return value if isinstance(value, list) and all(type(token) is int for token in value) else []


def text_of(delta: Any, *names: str) -> str:
    """The first text among these fields of a delta."""
    values = map(delta.get, names) if isinstance(delta, dict) else ()
    return next((value for value in values if isinstance(value, str) and value), "")
