"""Schemas of limits and of operators' requests about keys and teams, validated with clear errors."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gateway.config.problems import faults
from gateway.core.efforts import LEVELS, size
from gateway.core.errors import ConfigError, suggestion

# Upper bounds: counters are 64 bits wide, and no key lives for a century.
Count = Annotated[int, Field(ge=0, le=10**15)]
Dollars = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=100 * 365 * 86_400, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
TeamName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

# A named level, or a budget in tokens.
Level = Annotated[str, Field(json_schema_extra={"enum": [*LEVELS]})] | Annotated[int, Field(ge=0, le=1_000_000)]

_OF_REQUESTS = {"requests_per_minute", "max_parallel_requests", "max_bytes_in_flight"}
# Fields that need no counters.
_NOT_COUNTED = {"models", "ceiling", "floor", "overspend", "overspend_dollars", "learn"}


class LimitsTable(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def read(cls, table: dict[str, Any]) -> Self:
        """ConfigError lists every error: where, what, and the nearest valid name."""
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            raise ConfigError(faults(error, cls)) from error


class Budget(LimitsTable):
    """Limits that are counted. None means no limit. Minutes, hours, days and months are those of the clock, in UTC."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    thinking_per_hour: Count | None = None
    thinking_per_day: Count | None = None
    dollars_per_day: Dollars | None = None
    dollars_per_month: Dollars | None = None
    max_parallel_requests: Count | None = None
    """How many of its requests may run at once, over all workers of a host."""
    max_bytes_in_flight: Count | None = None
    """Total size of their bodies in bytes."""
    overspend: Share | None = None
    """By which fraction the limits on thinking tokens may be exceeded at worst."""
    overspend_dollars: Share | None = None
    """The same for the limits on dollars."""
    learn: bool | None = None
    """Whether requests may be answered again to learn from them (`[learn]`). A team's false holds for all its keys."""

    @cached_property
    def counted(self) -> bool:
        """Whether any limit needs counters."""
        return len(self.given().keys() - _NOT_COUNTED) > 0

    @cached_property
    def of_spending(self) -> bool:
        """Whether any limit is on spending, which is reserved before a request is sent."""
        return len(self.given().keys() - _OF_REQUESTS - _NOT_COUNTED) > 0

    @property
    def of_thinking(self) -> bool:
        """Whether thinking tokens are limited."""
        return self.thinking_per_hour is not None or self.thinking_per_day is not None

    def or_else(self, usual: Budget) -> Self:
        """These limits, with `usual` as defaults."""
        return type(self)(**{**usual.given(), **self.given()})

    def changed(self, by: Budget) -> Self:
        """These limits with those that `by` sets, None included, in their place. ConfigError: they contradict."""
        table = {**self.given(), **{name: getattr(by, name) for name in by.model_fields_set}}
        return type(self).read({name: value for name, value in table.items() if value is not None})

    def given(self) -> dict[str, Any]:
        """Only the limits that are set."""
        return self.model_dump(exclude_none=True)


def _size(effort: str | int) -> float:
    """Of an effort, by the usual levels."""
    return size(LEVELS[effort]) if isinstance(effort, str) else effort


class Limits(Budget):
    """The limits of a key."""

    models: Annotated[list[Name], Field(min_length=1)] | None = None
    ceiling: Level | None = None
    """The strongest effort: a named level, or a budget in thinking tokens."""
    floor: Level | None = None
    """The weakest effort, where a model's policy and its own ceiling leave that."""

    @field_validator("ceiling", "floor")
    @classmethod
    def _known(cls, effort: str | int | None) -> str | int | None:
        if isinstance(effort, str) and effort not in LEVELS:
            raise ValueError(f"{effort!r} is not an effort.{suggestion(effort, LEVELS)}")
        return effort

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.floor is not None and self.ceiling is not None and _size(self.floor) > _size(self.ceiling):
            raise ValueError(f"the floor ({self.floor}) is above the ceiling ({self.ceiling})")
        return self


class NewKey(LimitsTable):
    """An operator's request for a new key."""

    name: Name
    expires_in_s: Seconds | None = None
    team: TeamName | None = None
    limits: Limits = Limits()


class KeyChange(LimitsTable):
    """An operator's change of a key: what is left out stays. A limit, team or expiry of null is removed."""

    name: Name = ""
    expires_in_s: Seconds | None = None
    team: TeamName | None = None
    limits: Limits = Limits()


class NewTeam(LimitsTable):
    """An operator's request for a budget that several keys share."""

    name: TeamName
    limits: Budget = Budget()


class TeamChange(LimitsTable):
    """An operator's change of a team: limits that are left out stay, null removes one."""

    limits: Budget = Budget()


class Rotation(LimitsTable):
    """`overlap_s`: how long older secrets stay valid."""

    overlap_s: Seconds = 0.0
