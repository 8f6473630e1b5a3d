"""Whether an answer calls tools that its request declares, with arguments that they take."""

from __future__ import annotations

from typing import Any, Literal

import orjson

from gateway.core.answer import AnswerContent, CalledTool
from gateway.verification.protocol import AnswerTask, VerifierSettings


class ToolCallSettings(VerifierSettings):
    """Each call names a declared tool, and its arguments meet the schema of that tool's parameters."""

    kind: Literal["tool_calls"]

    def applies(self, task: AnswerTask, answer: AnswerContent) -> bool:
        return bool(answer.tool_calls) and task.tools is not None

    def score(self, task: AnswerTask, answer: AnswerContent) -> float | None:
        from gateway.verification.schema_check import compiled

        for call in answer.tool_calls:
            schema = (task.tools or {}).get(call.name)
            if schema is None:
                return 0.0
            validator = compiled(schema)
            if validator is None:
                return None
            if not validator.is_valid(_arguments(call)):
                return 0.0
        return 1.0

    def describe(self) -> str:
        return "1 where all tool calls of an answer are valid by the request's tools, else 0."


def _arguments(call: CalledTool) -> Any:
    """What is no JSON is a text, which no tool takes in place of an object."""
    try:
        return orjson.loads(call.arguments) if call.arguments.strip() else {}
    except orjson.JSONDecodeError:
        return call.arguments
