"""Estimates what a request may cost before it runs: prompt tokens, and the most tokens it may generate."""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.core.aliases import JsonObject
from gateway.core.call import BYTES_PER_TOKEN, LIMIT_FIELDS, Call
from gateway.core.plan import Plan

# In bytes: larger prompts are inspected, as much of them may be media.
LARGE_PROMPT = 64 * 1024
# Tokens charged for an image, audio clip or file.
MEDIA_TOKENS = 1500


class Reservation(NamedTuple):
    prompt: int
    completion: int


def reserve(call: Call, plan: Plan, thought: int, longest_answer: int) -> Reservation:
    """`thought` is the thinking of all choices together; an answer without a limit counts as `longest_answer` tokens.

    The limit is the client's and what is added to it for thinking, or the model's; no answer exceeds the deployment's
    context.
    """
    limit, context = plan.limit, plan.deployment.max_context
    if limit is None:
        limits = [given for name in LIMIT_FIELDS if type(given := plan.body.get(name)) is int]
        limit = min(limits, default=None)
    completion = thought + longest_answer * call.choices if limit is None else limit * call.choices
    if context is not None:
        completion = min(completion, context * call.choices)
    return Reservation(_prompt(call, plan), completion)


def _prompt(call: Call, plan: Plan) -> int:
    tokens = call.prompt_tokens if call.size <= LARGE_PROMPT else _without_media(call)
    context = plan.deployment.max_context
    return tokens if context is None or call.passthrough is not None else min(tokens, context)


def _without_media(call: Call) -> int:
    """Prompt tokens by the bytes of text alone, and a fixed count for each media part of a chat."""
    messages = call.body.get("messages")
    if call.passthrough is not None or not isinstance(messages, list):
        return call.prompt_tokens
    media = size = 0
    for part in (part for message in messages for part in _parts(message)):
        given = _media(part)
        media += given > 0
        size += given
    return max(call.size - size, 0) // BYTES_PER_TOKEN + media * MEDIA_TOKENS


def _parts(message: Any) -> list[JsonObject]:
    content = message.get("content") if isinstance(message, dict) else None
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _media(part: JsonObject) -> int:
    """The number of characters of data in a part that is not text."""
    data = next((value for name, value in part.items() if name not in ("type", "text") and value), None)
    texts = [data] if isinstance(data, str) else list(data.values()) if isinstance(data, dict) else []
    return 0 if part.get("type") == "text" else sum(len(text) for text in texts if isinstance(text, str))
