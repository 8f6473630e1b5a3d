"""The settings of a public model that hold for all of its arms and deployments."""

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

    `strict` says which requested efforts are refused if the family does not support them: all (True), only no thinking
    (`off`), or none (False); others are rounded to the nearest supported one.
    `sampling` has the parameters of answers with thinking (True) and without, for clients that set none.
    """

    answer: AnswerLimits = field(default_factory=lambda: AnswerLimits(0))
    levels: Mapping[str, Effort] = field(default_factory=lambda: LEVELS)
    strict: Strict = "off"
    sampling: Mapping[bool, Mapping[str, float]] = field(default_factory=dict)
