"""The base of every table of the settings, and the scalars that tables of several parts have in common."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Unit = Annotated[float, Field(ge=0, le=1)]
Tokens = Annotated[int, Field(ge=0, le=1_000_000)]
T = TypeVar("T", bound=BaseModel)
EffortName = str | Tokens
"""A level, `unlimited`, or a budget in tokens."""


class StrictSettings(BaseModel):
    """No value is taken for one of another kind: `"0.65"` is no number, and `true` is not 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def part(self, of: type[T]) -> T:
        """The fields that it has of a base of its own, as a value apart from the others."""
        return of.model_construct(**{name: getattr(self, name) for name in of.model_fields})
