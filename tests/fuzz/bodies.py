"""Requests that are nearly right: fields that a chat completion has, with values that they may and may not have."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

WORDS = st.sampled_from(
    ["", "a", "auto", "none", "low", "high", "max", "user", "text", "tiny", "merged", "json_object", "\x00", "é"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([2**31, 2**63 - 1, -(2**63), 2**64 - 1, 1e308, -0.0, 0.5])
    | WORDS
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
NAMES = """role content type text name function arguments parameters schema json_schema id include_usage dial x
enable_thinking properties reasoning tool_calls conversation_id"""
KEYS = st.sampled_from(NAMES.split())
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda of: st.lists(of, max_size=4) | st.dictionaries(KEYS, of, max_size=4), max_leaves=8
)
PARTS = st.fixed_dictionaries({}, optional={"type": WORDS | VALUES, "text": SCALARS, "image_url": VALUES})
CALLS = st.fixed_dictionaries(
    {},
    optional={
        "id": WORDS,
        "type": WORDS,
        "function": st.fixed_dictionaries({}, optional={"name": WORDS, "arguments": VALUES}) | VALUES,
    },
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool", "developer"])},
        optional={
            "content": SCALARS | st.lists(PARTS, max_size=3),
            "tool_calls": st.lists(CALLS, max_size=2),
            "reasoning": SCALARS,
        },
    )
    | VALUES,
    max_size=4,
)
FUNCTIONS = st.fixed_dictionaries(
    {"name": WORDS}, optional={"parameters": VALUES, "description": SCALARS, "strict": SCALARS}
)
TOOLS = st.lists(st.fixed_dictionaries({"function": FUNCTIONS | VALUES}, optional={"type": WORDS}) | VALUES, max_size=3)
FORMATS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "json_object", "json_schema"])},
    optional={"json_schema": st.fixed_dictionaries({}, optional={"name": WORDS, "schema": VALUES})},
)


def bodies(models: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies of chat completions, right in most of their fields and wrong in some."""
    counts = ["max_tokens", "max_completion_tokens", "thinking_token_budget", "n", "seed", "top_logprobs", "min_tokens"]
    numbers = ["temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"]
    lists = ["stop", "stop_token_ids", "allowed_token_ids", "bad_words"]
    tables = ["stream_options", "chat_template_kwargs", "thinkgate", "metadata", "logit_bias", "structured_outputs"]
    return st.fixed_dictionaries(
        {"model": st.sampled_from(models) | SCALARS, "messages": MESSAGES | VALUES},
        optional={
            **dict.fromkeys(counts, st.integers(-2, 300) | SCALARS),
            **dict.fromkeys(numbers, st.floats(-3, 3) | SCALARS),
            **dict.fromkeys(lists, st.lists(SCALARS, max_size=3) | SCALARS),
            **dict.fromkeys(tables, st.dictionaries(KEYS | WORDS, SCALARS, max_size=3) | VALUES),
            **dict.fromkeys(
                ["stream", "logprobs", "echo", "add_generation_prompt", "continue_final_message"],
                st.booleans() | VALUES,
            ),
            "reasoning_effort": WORDS | VALUES,
            "tools": TOOLS | VALUES,
            "tool_choice": st.sampled_from(["auto", "required", "none"]) | VALUES,
            "response_format": FORMATS | VALUES,
            "user": VALUES,
            "safety_identifier": VALUES,
        },
    )
