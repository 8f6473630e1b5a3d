"""Parses complete (non-streamed) chat completions: usage and finish reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from gateway.core.backend_errors import BackendFailed, error_fields, error_from_backend
from gateway.core.usage import Usage

# Bounds on what a backend reports into a record: the largest count, and the longest finish reason.
MOST_TOKENS = 2**31
MOST_CHARACTERS = 100


def read_answer(raw: bytes, holds: str = "choices") -> tuple[dict[str, Any], Usage, str | None]:
    """The answer, its usage and its finish reason. BackendFailed: its field `holds` is not a list."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BackendFailed("The backend's answer is not valid JSON.") from error
    if not isinstance(body, dict) or not isinstance(body.get(holds), list):
        fields = error_fields(raw)
        if fields is not None:
            raise error_from_backend(502, {}, fields)
        raise BackendFailed(f"The backend's answer has no {holds}.")
    reasons = [choice.get("finish_reason") for choice in body[holds] if isinstance(choice, dict)]
    reason = next((str(reason)[:MOST_CHARACTERS] for reason in reasons if reason), None)
    usage = read_usage(body.get("usage"))
    return body, usage if holds == "choices" else replace(usage, completion_tokens=0), reason


def dumped(body: dict[str, Any]) -> bytes:
    """Serialise parsed JSON. BackendFailed: it is nested too deeply."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise BackendFailed("The backend's answer is nested too deeply.") from error


def read_id(answer: dict[str, Any]) -> str | None:
    """The id of an answer, or of the one that a chunk belongs to."""
    id = answer.get("id")
    return id[:MOST_CHARACTERS] if isinstance(id, str) else None


def read_usage(usage: Any) -> Usage:
    """Token counts of a `usage` object; None for a count that is missing or invalid."""
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    of_prompt = usage.get("prompt_tokens_details")
    cached = of_prompt.get("cached_tokens") if isinstance(of_prompt, dict) else None
    return Usage(
        _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _count(reasoning), _count(cached)
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None
