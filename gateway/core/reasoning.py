"""The fields of messages and deltas that hold reasoning: engines and APIs use different names."""

from __future__ import annotations

REASONING, REASONING_CONTENT = REASONING_FIELDS = ("reasoning", "reasoning_content")
REASONING_DETAILS = "reasoning_details"
