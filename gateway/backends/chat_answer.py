"""A whole chat completion on its way through: usage and finish reason are noted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from gateway.core.backend_errors import BackendFailed, error_fields, error_from_backend
from gateway.core.usage import Usage

# Of what a backend says that goes into a record: a count that fits any database, and a word, not a book.
MOST_TOKENS = 2**31
MOST_CHARACTERS = 100


def read_answer(raw: bytes, holds: str = "choices") -> tuple[dict[str, Any], Usage, str | None]:
    """The answer, what was spent, and why it ended. BackendFailed: it has no list of what it should hold."""
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
    """JSON of what came out of JSON. BackendFailed: it is nested too deeply for that."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise BackendFailed("The backend's answer is nested too deeply.") from error


def read_usage(usage: Any) -> Usage:
    """Token counts out of a `usage` object; a count that is missing or no sensible whole number is None."""
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _count(reasoning))


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None
