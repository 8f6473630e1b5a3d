"""The settings of learning from live traffic: which requests are answered again, at what cost, and who judges."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from gateway.core.strict import Name, StrictSettings, Unit


class LearnSettings(StrictSettings):
    """Off unless `shadow` is above 0. The caps are for all processes that share the file of what budgets have spent."""

    shadow: Unit = 0.0
    """The share of live requests that are answered again at another effort, after the client has its answer, on places
    that no client needs. 0: none."""
    shadow_tokens: Annotated[float, Field(ge=0)] = 1_000_000.0
    """Tokens that these answers and their judges may generate in a day (UTC)."""
    shadow_usd: Annotated[float, Field(ge=0)] = 5.0
    """What they may cost in a day, in dollars, by the prices of the deployments."""
    shadow_running: Annotated[int, Field(ge=1)] = 4
    """How many requests are answered again at once."""
    same_effort: Unit = 0.2
    """The share of them that repeat the client's own effort, to measure how often answers differ by chance alone."""
    read_only_tools: list[Name] = []
    """Tools that change nothing, by name: requests that offer others, or that the backend itself runs, are never
    answered again."""
    judge: Name | None = None
    """The deployment or model that compares free texts; without one, only what can be compared exactly counts."""
    text: bool = False
    """Whether prompts and both answers may be kept as text; if not, only features, effort and agreement are."""

    def of_worker(self, workers: int) -> LearnSettings:
        """One worker's part: the caps are shared, how many run at once is not."""
        return self.model_copy(update={"shadow_running": math.ceil(self.shadow_running / workers)})
