"""The base class of settings tables, and their common scalar types."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.core.header_value import is_safe

Unit = Annotated[float, Field(ge=0, le=1)]
Tokens = Annotated[int, Field(ge=0, le=1_000_000)]
Price = Annotated[float, Field(ge=0, le=1000)]
"""In units of P(correct), which is at most 1: more than this says no more."""
LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6
Weight = Annotated[float, Field(ge=LEAST_WEIGHT, le=MOST_WEIGHT)]
"""How much of something one gets, beside the weights of others."""
T = TypeVar("T", bound=BaseModel)
EffortName = str | Tokens
"""A level, `unlimited`, or a budget in tokens."""


def _one_line(name: str) -> str:
    if not name or not name.isprintable() or name != name.strip():
        raise ValueError("a name has characters that can be seen, in one line, without spaces around them")
    return name


def _for_headers(name: str) -> str:
    if not is_safe(name):
        raise ValueError("a header has this name, so it consists of printable ASCII characters")
    return name


Name = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
HeaderName = Annotated[Name, AfterValidator(_for_headers)]
"""The name of an arm or a class: clients see or send it in a header."""


class StrictSettings(BaseModel):
    """Values are not coerced: `"0.65"` is not a number, and `true` is not 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def part(self, of: type[T]) -> T:
        """The fields of the base class `of`, as an instance of it."""
        return of.model_construct(**{name: getattr(self, name) for name in of.model_fields})
