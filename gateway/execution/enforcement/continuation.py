"""The request that continues an answer from token ids: the chat's sampling and format fields, without its messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.core.aliases import JsonObject
from gateway.core.call import LIMIT_FIELDS

COMPLETIONS = "/completions"
# Fields for building the prompt from a chat or for parsing its answer, which do not apply to a completion.
_OF_CHATS = frozenset(
    (
        *LIMIT_FIELDS, "messages", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call",
        "reasoning", "reasoning_effort", "include_reasoning", "thinking", "chat_template", "chat_template_kwargs",
        "add_generation_prompt", "continue_final_message", "add_special_tokens", "documents", "echo", "logprobs",
        "top_logprobs", "n", "store", "metadata", "modalities", "audio", "prediction", "verbosity",
        "web_search_options", "service_tier", "return_prompt_text", "request_id", "truncate_prompt_tokens",
        "truncation_side", "mm_processor_kwargs", "media_io_kwargs",
    )
)  # fmt: skip


def continuation(body: JsonObject, prompt: Sequence[int], left: int | None, done: int) -> dict[str, Any]:
    """`left` more tokens may be written (None: up to the context), `done` have been."""
    fields = {name: value for name, value in body.items() if name not in _OF_CHATS}
    least = body.get("min_tokens")
    if type(least) is int:
        fields["min_tokens"] = max(least - done, 0)
    # An explicit null, as the default of completions is 16.
    return {**fields, "prompt": prompt, "max_tokens": left, "stream": True, "return_token_ids": True}


def room(body: JsonObject, done: int) -> int | None:
    """How many more tokens may be written after `done`; None: there is no limit."""
    limits = [limit for limit in map(body.get, LIMIT_FIELDS) if type(limit) is int]
    return min(limits) - done if limits else None
