"""What a key may ask for and how much of it, and what operators may ask of keys: tables, checked with clear faults."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.config.problems import faults
from gateway.core.efforts import LEVELS
from gateway.core.errors import ConfigError, suggestion

# Counters are 64 bits wide, and a century is longer than any key: nobody needs more than this of anything.
Count = Annotated[int, Field(ge=0, le=10**15)]
Dollars = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=100 * 365 * 86_400, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


_OF_REQUESTS = {"requests_per_minute", "max_parallel_requests", "max_bytes_in_flight"}


class LimitsTable(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def read(cls, table: dict[str, Any]) -> Self:
        """ConfigError names every fault: where it is, what is wrong, and the nearest valid name."""
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            raise ConfigError(faults(error, cls)) from error


class Limits(LimitsTable):
    """Left out means without limit. Minutes, hours, days and months are those of the clock, in UTC."""

    models: Annotated[list[Name], Field(min_length=1)] | None = None
    ceiling: (
        Annotated[str, Field(json_schema_extra={"enum": [*LEVELS]})] | Annotated[int, Field(ge=0, le=1_000_000)] | None
    ) = None
    """The strongest effort: a named level, or a budget in thinking tokens."""
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    thinking_per_hour: Count | None = None
    thinking_per_day: Count | None = None
    dollars_per_day: Dollars | None = None
    dollars_per_month: Dollars | None = None
    max_parallel_requests: Count | None = None
    """How many of its requests may be under way at once, over all workers of a host."""
    max_bytes_in_flight: Count | None = None
    """How large the bodies of these may be together."""

    @field_validator("ceiling")
    @classmethod
    def _known(cls, ceiling: str | int | None) -> str | int | None:
        if isinstance(ceiling, str) and ceiling not in LEVELS:
            raise ValueError(f"{ceiling!r} is no effort.{suggestion(ceiling, LEVELS)}")
        return ceiling

    @cached_property
    def counted(self) -> bool:
        """Whether any of them is an amount."""
        return len(self.given().keys() - {"models", "ceiling"}) > 0

    @cached_property
    def of_spending(self) -> bool:
        """Whether any is about what requests spend, and set aside before they are sent."""
        return len(self.given().keys() - _OF_REQUESTS - {"models", "ceiling"}) > 0

    def or_else(self, usual: Limits) -> Limits:
        """The same, with the usual ones where none are given."""
        return Limits(**{**usual.given(), **self.given()})

    def given(self) -> dict[str, Any]:
        """Only what is limited."""
        return self.model_dump(exclude_none=True)


class NewKey(LimitsTable):
    """What an operator says of a key to be made."""

    name: Name
    expires_in_s: Seconds | None = None
    limits: Limits = Limits()


class Rotation(LimitsTable):
    """`overlap_s`: how long the secrets before the new one are still taken."""

    overlap_s: Seconds = 0.0
