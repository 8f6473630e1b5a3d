"""The result of a request's probe, for its record and its cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.core.forecast import Forecast
from gateway.core.plan import Plan
from gateway.core.probe import Probe

# Accepted as the answer; discarded; failed or late; not decided before the client disconnected.
ProbeEnd = Literal["kept", "thrown_away", "failed", "unfinished"]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """`plan` is what was sent, `before` the forecast that led to the probe. `seconds` is the time from sending it to
    the decision, `buffered_s` the part of it after the first token. `tokens` is how many were received; `prompt_tokens`
    is None if the backend did not report them. `why` is the code of the error if it failed.
    """

    plan: Plan
    before: Forecast
    outcome: ProbeEnd = "unfinished"
    probe: Probe | None = None
    tokens: int = 0
    prompt_tokens: int | None = None
    seconds: float = 0.0
    buffered_s: float = 0.0
    why: str | None = None

    @property
    def discarded_tokens(self) -> int:
        """Tokens that the client does not get."""
        return 0 if self.outcome == "kept" else self.tokens

    @property
    def note(self) -> str | None:
        """The note for the client; None if there is nothing to report."""
        return f"the probe failed ({self.why}): continued without it" if self.outcome == "failed" else None

    def cost(self, prompt_tokens: int) -> float:
        """The cost in dollars of a discarded probe; `prompt_tokens` is used if the backend did not report its own."""
        if self.outcome == "kept" or not self.tokens:
            return 0.0
        prompt = prompt_tokens if self.prompt_tokens is None else self.prompt_tokens
        return self.plan.deployment.pricing.cost(prompt, self.tokens)
