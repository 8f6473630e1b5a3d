"""What goes out to a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, Effort

# How a budget is kept: the backend does it by itself; the gateway ends the thought and has the answer written on; it
# ends the answer where the budget ends; nobody does.
Enforcement = Literal["native", "two-phase", "cut", "none"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes out: the deployment, the effort it can legally be told, the body, and what could not be said.

    `applied` is None where the family cannot be told an effort: the backend then does as it likes. `tokens` is the work
    it is for the backend, as far as can be told beforehand. `effort` is what any deployment would be told, and `bounds`
    are the notes that hold for any. `enforcement` is who keeps the budget, `level` the family's word for the effort.
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

    @property
    def words(self) -> str | None:
        """What was applied: the family's word for it where no number was told, else the budget; None if nothing was."""
        if self.applied is None:
            return None
        if self.applied.think and self.applied.budget is None:
            return self.level or "unlimited"
        return str(self.applied.budget) if self.applied.think else "none"
