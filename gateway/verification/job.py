"""A question to the verifiers' process, and its answer, each one line of JSON."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import orjson

from gateway.core.answer import AnswerContent, CalledTool
from gateway.verification.protocol import AnswerTask, VerifierSettings


class VerificationJob(NamedTuple):
    verifier: VerifierSettings
    task: AnswerTask
    answer: AnswerContent


def dump(job: VerificationJob) -> bytes:
    """TypeError: a value of the task is no JSON."""
    kind = type(job.verifier)
    settings = job.verifier.model_dump(mode="json")
    line = {"class": [kind.__module__, kind.__qualname__], "settings": settings, "task": job.task, "answer": job.answer}
    return orjson.dumps(line, default=_plain) + b"\n"


def load(line: bytes) -> VerificationJob:
    given = orjson.loads(line)
    module, name = given["class"]
    kind: type[VerifierSettings] = getattr(import_module(module), name)
    text, calls, finish_reason = given["answer"]
    answer = AnswerContent(text, tuple(CalledTool(*call) for call in calls), finish_reason)
    # They were validated where they were read, on this machine.
    return VerificationJob(kind.model_construct(**given["settings"]), AnswerTask(*given["task"]), answer)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(type(value).__name__)
