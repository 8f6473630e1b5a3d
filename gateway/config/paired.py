"""The settings of pairs: which requests of an experiment every other arm answers, too, and how much that may cost."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from gateway.core.strict import StrictSettings, Unit

WINDOW_S = {"hour": 3600.0, "day": 86_400.0}


class PairedSettings(StrictSettings):
    """Every other arm answers a sample of the requests in the background, after their clients have their own answers.

    A limit that is reached leaves further samples out until it has room again.
    """

    share: Unit
    """The share of the experiment's requests, drawn by a hash of each."""
    max_running: Annotated[int, Field(ge=1)] = 4
    """How many requests are answered again at once."""
    max_per_minute: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[float, Field(gt=0)] | None = None
    """Generated tokens of all these answers in each window."""
    max_dollars: Annotated[float, Field(gt=0)] | None = None
    """What they cost in each window, by the prices of the deployments."""
    every: Literal["hour", "day"] = "hour"
    """The window of `max_tokens` and `max_dollars`, by the clock (UTC)."""

    def of_worker(self, workers: int) -> PairedSettings:
        """One worker's part of the limits; at least one request."""
        return self.model_copy(
            update={
                "max_running": math.ceil(self.max_running / workers),
                "max_per_minute": self.max_per_minute and math.ceil(self.max_per_minute / workers),
                "max_tokens": self.max_tokens and self.max_tokens / workers,
                "max_dollars": self.max_dollars and self.max_dollars / workers,
            }
        )
