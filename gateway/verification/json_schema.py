"""Whether an answer is JSON of the schema that its request, or the operator, wants."""

from __future__ import annotations

from typing import Any, Literal

import orjson
from pydantic import field_validator

from gateway.core.answer import AnswerContent
from gateway.verification.extract import fenced
from gateway.verification.protocol import AnswerTask, VerifierSettings, is_final


class JsonSchemaSettings(VerifierSettings):
    """The schema is the operator's, else that of the request's `response_format`, or of its counterpart."""

    kind: Literal["json_schema"]
    json_schema: dict[str, Any] | None = None
    """The schema that every answer has to meet; if left out, the request's own, if it has one."""
    fenced: bool = False
    """Whether the JSON may stand in a fenced block."""

    @field_validator("json_schema")
    @classmethod
    def _compiles(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        # Only here and in the verifiers' process: a gateway without verifiers does without it.
        from gateway.verification.schema_check import compiled

        if schema is not None and compiled(schema) is None:
            raise ValueError("this is no JSON schema that can be used: it must be valid, refer to nothing outside")
        return schema

    def applies(self, task: AnswerTask, answer: AnswerContent) -> bool:
        return (self.json_schema or task.schema) is not None and is_final(answer)

    def score(self, task: AnswerTask, answer: AnswerContent) -> float | None:
        from gateway.verification.schema_check import compiled

        schema = self.json_schema or task.schema
        validator = compiled({"type": "object"} if schema is True or schema is None else schema)
        if validator is None:
            return None
        try:
            value = orjson.loads(fenced(answer.text) if self.fenced else answer.text)
        except orjson.JSONDecodeError:
            return 0.0
        return float(validator.is_valid(value))

    def describe(self) -> str:
        whose = "the operator's schema" if self.json_schema else "the schema of its request"
        return f"1 where the answer is JSON that meets {whose}, else 0."
