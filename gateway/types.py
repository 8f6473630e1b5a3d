"""The nouns of Thinkgate. Frozen, small, free of behaviour that needs anything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Reason = Literal["client", "router", "probe", "policy", "sticky", "fallback", "load"]
BackendKind = Literal["merged", "split"]


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to think. `budget` is in thinking tokens; None with `think` means unlimited; without `think` it is 0."""

    think: bool
    budget: int | None = None

    def __post_init__(self) -> None:
        if not self.think and self.budget != 0:
            object.__setattr__(self, "budget", 0)
        if self.budget is not None and self.budget < 0:
            raise ValueError(f"a thinking budget cannot be negative: {self.budget}")


NO_THINKING = Effort(think=False, budget=0)
UNLIMITED = Effort(think=True, budget=None)


@dataclass(frozen=True, slots=True)
class EffortForecast:
    """What one effort would bring and cost: P(correct) in [0,1], tokens in tokens, seconds in seconds."""

    effort: Effort
    p_correct: float
    thinking_tokens: float
    answer_tokens: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecasts of one request, one per effort on offer, and the version of the router that made them."""

    router: str
    efforts: tuple[EffortForecast, ...]


@dataclass(frozen=True, slots=True)
class Prices:
    """What one token and one second of waiting are worth, in units of P(correct)."""

    token: float = 0.0
    second: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """The chosen effort, its probability under the policy, why it was chosen and at which prices."""

    effort: Effort
    reason: Reason
    propensity: float
    prices: Prices
    forecast: Forecast | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What the backend really spent, in tokens. None: the backend did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None


JsonObject = Mapping[str, Any]
Headers = Mapping[str, str]
__all__ = [
    "NO_THINKING",
    "UNLIMITED",
    "BackendKind",
    "Decision",
    "Effort",
    "EffortForecast",
    "Forecast",
    "Headers",
    "JsonObject",
    "Prices",
    "Reason",
    "Usage",
]
