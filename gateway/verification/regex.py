"""Whether an answer matches a pattern of the operator's, in time that grows with its length alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

from gateway.core.answer import AnswerContent
from gateway.verification.protocol import AnswerTask, VerifierSettings, is_final


class RegexSettings(VerifierSettings):
    """The engine is Rust's: no look-around and no back-references, and so no pattern that takes exponential time."""

    kind: Literal["regex"]
    pattern: Annotated[str, Field(min_length=1)]
    """Found anywhere in the text of the answer, unless it is anchored by `^` and `$`; `(?i)` in front ignores case."""
    forbidden: bool = False
    """Whether the answer must not match."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            _matcher(pattern)
        except SchemaError as error:
            lines = str(error).strip().splitlines()
            raise ValueError(f"this pattern cannot be used: {lines[-1].strip()}") from error
        return pattern

    def applies(self, task: AnswerTask, answer: AnswerContent) -> bool:
        return is_final(answer)

    def score(self, task: AnswerTask, answer: AnswerContent) -> float | None:
        try:
            _matcher(self.pattern).validate_python(answer.text)
        except ValidationError:
            return float(self.forbidden)
        return float(not self.forbidden)

    def describe(self) -> str:
        return f"1 where the answer {'does not match' if self.forbidden else 'matches'} {self.pattern[:100]!r}, else 0."


def _matcher(pattern: str) -> SchemaValidator:
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
