"""What a public model lays down for all of its arms and deployments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.efforts import LEVELS, Effort
from gateway.families.answer_limits import AnswerLimits

Strict = bool | Literal["off"]


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """`levels` are the named efforts with this model's budgets.

    `strict` says which efforts that a client names are refused where a family cannot be told them: all (True), none of
    them thinking (`off`), or not one (False); what is not refused is rounded to the nearest legal one.
    """

    answer: AnswerLimits = field(default_factory=lambda: AnswerLimits(0))
    levels: Mapping[str, Effort] = field(default_factory=lambda: LEVELS)
    strict: Strict = "off"
