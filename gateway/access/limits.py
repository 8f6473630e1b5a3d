"""What a key may ask for and how much of it. Left out means without limit."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.efforts import LEVELS
from gateway.errors import ConfigError, suggestion
from gateway.settings_faults import faults

# Counters are 64 bits wide; nobody needs more than this of them.
Count = Annotated[int, Field(ge=0, le=10**15)]
Dollars = Annotated[float, Field(ge=0, le=10**12, allow_inf_nan=False)]


class Limits(BaseModel):
    """Minutes, hours, days and months are those of the clock, in UTC: a count starts anew when one begins."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    models: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(min_length=1)] | None = None
    ceiling: str | Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """The strongest effort: a named level, or a budget in thinking tokens."""
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    thinking_per_hour: Count | None = None
    thinking_per_day: Count | None = None
    dollars_per_day: Dollars | None = None
    dollars_per_month: Dollars | None = None

    def given(self) -> dict[str, Any]:
        """Only what is limited."""
        return self.model_dump(exclude_none=True)


def parse(table: dict[str, Any]) -> Limits:
    """Check a table. ConfigError: one line per fault, with the nearest valid name."""
    try:
        limits = Limits.model_validate(table)
    except ValidationError as error:
        raise ConfigError(faults(error, Limits)) from error
    if isinstance(limits.ceiling, str) and limits.ceiling not in LEVELS:
        raise ConfigError([f"ceiling: {limits.ceiling!r} is no effort.{suggestion(limits.ceiling, LEVELS)}"])
    return limits
