"""A plan: the request that is sent to a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, Effort

# How a budget is enforced: by the backend (`native`); by the gateway, which closes the reasoning block and continues
# generation (`two-phase`), or truncates the answer (`cut`); or not at all (`none`).
Enforcement = Literal["native", "two-phase", "cut", "none"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The deployment, the effort that it supports, the body, and notes on deviations.

    `applied` is None where the family has no effort control. `tokens` is the estimated work for the backend. `effort`
    is the effort before adapting it to the family, and `bounds` are the notes that hold for any family. `enforcement`
    is how the budget is enforced, `level` the family's name for the effort, `limit` the limit on all tokens of each
    choice, thinking included, where the client sets one.
    """

    deployment: Deployment
    applied: Effort | None
    body: dict[str, Any]
    notes: tuple[str, ...] = ()
    tokens: float = 0.0
    effort: Effort = NO_THINKING
    bounds: tuple[str, ...] = ()
    enforcement: Enforcement = "none"
    level: str | None = None
    limit: int | None = None

    @property
    def words(self) -> str | None:
        """The applied effort: the family's level if no budget was sent, else the budget; None if neither."""
        if self.applied is None:
            return None
        if self.applied.think and self.applied.budget is None:
            return self.level or "unlimited"
        return str(self.applied.budget) if self.applied.think else "none"
