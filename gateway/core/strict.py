"""The base class of settings tables, and their common scalar types."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Unit = Annotated[float, Field(ge=0, le=1)]
Tokens = Annotated[int, Field(ge=0, le=1_000_000)]
T = TypeVar("T", bound=BaseModel)
EffortName = str | Tokens
"""A level, `unlimited`, or a budget in tokens."""


class StrictSettings(BaseModel):
    """Values are not coerced: `"0.65"` is not a number, and `true` is not 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def part(self, of: type[T]) -> T:
        """The fields of the base class `of`, as an instance of it."""
        return of.model_construct(**{name: getattr(self, name) for name in of.model_fields})
