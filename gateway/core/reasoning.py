"""The names under which a message or a delta of a chat completion holds what was thought: engines and APIs differ."""

from __future__ import annotations

REASONING, REASONING_CONTENT = REASONING_FIELDS = ("reasoning", "reasoning_content")
REASONING_DETAILS = "reasoning_details"
