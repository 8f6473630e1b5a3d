"""Verifiers that need nobody to set them up: what is invalid was no use, what is valid says nothing."""

from __future__ import annotations

from gateway.core.answer import AnswerContent
from gateway.verification.json_schema import JsonSchemaSettings
from gateway.verification.protocol import AnswerTask, VerifierSettings
from gateway.verification.tool_calls import ToolCallSettings

METRIC = "implicit"


class InvalidSchemaSettings(JsonSchemaSettings):
    """The answer does not meet the schema of its request."""

    @property
    def source(self) -> str:
        return "implicit:schema"

    def score(self, task: AnswerTask, answer: AnswerContent) -> float | None:
        return _only_bad(super().score(task, answer))


class InvalidToolCallSettings(ToolCallSettings):
    """The answer calls a tool that there is not, or with arguments that it does not take."""

    @property
    def source(self) -> str:
        return "implicit:tool_call"

    def score(self, task: AnswerTask, answer: AnswerContent) -> float | None:
        return _only_bad(super().score(task, answer))


def implicit_verifiers() -> tuple[VerifierSettings, ...]:
    return (
        InvalidSchemaSettings(kind="json_schema", metric=METRIC),
        InvalidToolCallSettings(kind="tool_calls", metric=METRIC),
    )


def _only_bad(score: float | None) -> float | None:
    return 0.0 if score == 0 else None
