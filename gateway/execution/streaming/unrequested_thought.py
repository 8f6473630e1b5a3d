"""Truncates a whole answer that contains reasoning although thinking is off, at the point where a stream is ended."""

from __future__ import annotations

from typing import Any

from gateway.core.reasoning import REASONING_FIELDS

_THOUGHTS = (*REASONING_FIELDS, "thinking")


def cut(body: dict[str, Any], start: str, most: int) -> None:
    """Keep about `most` bytes of each choice's reasoning, and nothing after it; `start` is the opening tag."""
    for choice in body["choices"]:
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict) and (rest := _truncated(message, start, most)) is not None:
            choice |= {"message": {"role": "assistant", **rest}, "finish_reason": "length", "logprobs": None}
            choice.pop("token_ids", None)


def _truncated(message: dict[str, Any], start: str, most: int) -> dict[str, Any] | None:
    """The fields that are left of a message; None: it has no reasoning."""
    thoughts = {name: text for name in _THOUGHTS if isinstance(text := message.get(name), str) and text}
    content = message.get("content")
    if isinstance(content, list) and any(isinstance(part, dict) and part.get("thinking") for part in content):
        return {"content": None}
    if thoughts:
        return {"content": None, **{name: text[:most] for name, text in thoughts.items()}}
    if not isinstance(content, str) or start not in content:
        return None
    return {"content": content[: content.index(start) + len(start) + most]}
