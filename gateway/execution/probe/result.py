"""What became of a request's probe: for its record, and for who pays for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.core.forecast import Forecast
from gateway.core.plan import Plan
from gateway.core.probe import Probe

# It was the answer; it did not convince; it failed or was late; the client left before it was decided.
ProbeEnd = Literal["kept", "thrown_away", "failed", "unfinished"]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """`plan` is what was sent, `before` the forecast that it was asked for by, `seconds` how long it took from being
    sent to its decision, of which it was `held_s` back after its first token. `tokens` were written as far as it was
    heard, after a prompt of so many (None: nobody said). `why` is the code of the error that it failed by.
    """

    plan: Plan
    before: Forecast
    outcome: ProbeEnd = "unfinished"
    probe: Probe | None = None
    tokens: int = 0
    prompt_tokens: int | None = None
    seconds: float = 0.0
    held_s: float = 0.0
    why: str | None = None

    @property
    def discarded_tokens(self) -> int:
        """Tokens that nobody gets to see."""
        return 0 if self.outcome == "kept" else self.tokens

    @property
    def note(self) -> str | None:
        """What the client is to know of it."""
        return f"the probe failed ({self.why}): went on without it" if self.outcome == "failed" else None

    def cost(self, prompt_tokens: int) -> float:
        """Dollars for one that was thrown away; `prompt_tokens` stand in for a prompt of unknown length."""
        if self.outcome == "kept" or not self.tokens:
            return 0.0
        prompt = prompt_tokens if self.prompt_tokens is None else self.prompt_tokens
        return self.plan.deployment.pricing.cost(prompt, self.tokens)
