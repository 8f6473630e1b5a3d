"""Token counts of an answer, as `usage` shows them."""

from __future__ import annotations

from typing import Any


def usage(prompt: int, completion: int, reasoning: int | None) -> dict[str, Any]:
    """`reasoning` is None if it was not counted, or the model does not think."""
    return {
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "completion_tokens": completion,
        "prompt_tokens_details": None,
        "completion_tokens_details": None if reasoning is None else {"reasoning_tokens": reasoning},
    }


def streamed_usage(prompt: int, completion: int, reasoning: int | None) -> dict[str, Any]:
    """The same without null values."""
    return {name: value for name, value in usage(prompt, completion, reasoning).items() if value is not None}
