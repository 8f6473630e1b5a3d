"""What tests of verifiers share: settings of one, answers, and jobs in the verifiers' own process."""

from __future__ import annotations

from typing import Any

from gateway.core.answer import AnswerContent, CalledTool
from gateway.verification.protocol import AnswerTask, VerifierSettings
from gateway.verification.registry import VERIFIERS


def verifier(kind: str, **given: Any) -> VerifierSettings:
    """Validated as a configuration is."""
    return VERIFIERS[kind].model_validate({"kind": kind, **given})


def says(text: str, finish_reason: str = "stop") -> AnswerContent:
    return AnswerContent(text, (), finish_reason)


def calls(*given: tuple[str, str]) -> AnswerContent:
    """An answer that calls tools: their names and arguments."""
    return AnswerContent("", tuple(CalledTool(f"call_{n}", *each) for n, each in enumerate(given)), "tool_calls")


def expects(value: Any) -> AnswerTask:
    return AnswerTask(value)
