"""Identifies conversations, so that each stays with the replica that has cached its prefix."""

from __future__ import annotations

from typing import Any

from gateway.core.call import Call

PREFIX_CHARACTERS, PREFIX_PARTS = 512, 4


def conversation(call: Call) -> str:
    """A conversation's identity across turns: the beginning of its cached prefix."""
    if call.passthrough is not None:
        return _beginning(call.body.get(call.passthrough.prompt))
    parts: list[str] = []
    for message in call.body["messages"]:
        content = message.get("content")
        # Text only, as an image may have megabytes.
        texts = content if isinstance(content, list) else [{"text": content}]
        parts += [str(part.get("text") or "")[:PREFIX_CHARACTERS] for part in texts[:PREFIX_PARTS]]
        if message["role"] == "user":
            break
    return "\n".join(parts)


def _beginning(prompt: Any) -> str:
    """The same for a raw prompt: a string, token ids, or a list of either."""
    while isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        prompt = prompt[0]
    return str(prompt[:PREFIX_CHARACTERS]) if isinstance(prompt, str | list) else ""
