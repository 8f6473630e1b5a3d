"""The base of every table of the settings, and the scalars that tables of several parts have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Unit = Annotated[float, Field(ge=0, le=1)]
Tokens = Annotated[int, Field(ge=0, le=1_000_000)]
EffortName = str | Tokens
"""A level, `unlimited`, or a budget in tokens."""


class StrictSettings(BaseModel):
    """No value is taken for one of another kind: `"0.65"` is no number, and `true` is not 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
