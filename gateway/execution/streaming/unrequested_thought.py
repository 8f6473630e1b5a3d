"""A whole answer of a model that was not to think and did: it ends where a stream of it would be ended."""

from __future__ import annotations

from typing import Any

from gateway.core.reasoning import REASONING_FIELDS

_THOUGHTS = (*REASONING_FIELDS, "thinking")


def cut(body: dict[str, Any], start: str, most: int) -> None:
    """Leave `most` bytes of each thought, about, and nothing of what comes after it; `start` is what begins one in a
    text.
    """
    for choice in body["choices"]:
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict) and (kept := _begun(message, start, most)) is not None:
            choice |= {"message": {"role": "assistant", **kept}, "finish_reason": "length", "logprobs": None}
            choice.pop("token_ids", None)


def _begun(message: dict[str, Any], start: str, most: int) -> dict[str, Any] | None:
    """What is left of a message; None: it has no thought."""
    thoughts = {name: said for name in _THOUGHTS if isinstance(said := message.get(name), str) and said}
    content = message.get("content")
    if isinstance(content, list) and any(isinstance(part, dict) and part.get("thinking") for part in content):
        return {"content": None}
    if thoughts:
        return {"content": None, **{name: said[:most] for name, said in thoughts.items()}}
    if not isinstance(content, str) or start not in content:
        return None
    return {"content": content[: content.index(start) + len(start) + most]}
