"""The settings of learning from live traffic: which requests are answered again, at what cost, and who judges."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from gateway.config.experiment import Metric
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
    """Whether prompts and both answers may be kept as text, with the outcome of their comparison; if not, only
    features, efforts and agreement are. Nothing of clients who say `store: false` is kept as text."""
    features: bool | None = None
    """Whether records keep what the router read of a request: counts and sums, no words. `thinkgate learn` needs it.
    If left out, wherever `shadow` is above 0."""
    templates: bool = False
    """Whether the middle of a long text that nearly all of a key's requests to a model have in common is left out of
    what the router reads, so that the part that changes weighs more. Kept as hashes, in memory, since start-up."""
    forget: Annotated[str, Field(pattern=r"^\d{1,5}[hd]$")] = "30d"
    """After this time, in hours or days, an outcome counts half as much."""
    canary: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """The share of units that a new version of the router decides for until it has proved to be better."""
    guardrails: dict[Metric, Annotated[float, Field(ge=0)]] = {"outcome": 0.05, "error": 0.02}
    """A new version gets no more units once it is surely worse than the served one by more than this."""
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """How sure it must be that a new version is better, at any time at which it is looked at, for it to serve."""
    give_up: Annotated[str, Field(pattern=r"^\d{1,5}[hd]$")] = "30d"
    """A version that has not proved to be better by then is retired."""
    most_of_key: Annotated[float, Field(gt=0, le=1)] = 0.2
    """The share of all that is learned that the outcomes of one key may make up, where several keys report any."""
    drift_explore: Annotated[float, Field(ge=1, le=4)] = 2.0
    """While traffic drifts, exploration and shadows are this many times as frequent; the caps of shadows hold."""

    @property
    def keeps_features(self) -> bool:
        return self.shadow > 0 if self.features is None else self.features

    @property
    def forget_s(self) -> float:
        return _seconds(self.forget)

    @property
    def give_up_s(self) -> float:
        return _seconds(self.give_up)

    def of_worker(self, workers: int) -> LearnSettings:
        """One worker's part: the caps are shared, how many run at once is not."""
        return self.model_copy(update={"shadow_running": math.ceil(self.shadow_running / workers)})


def _seconds(given: str) -> float:
    return float(given[:-1]) * {"h": 3600.0, "d": 86_400.0}[given[-1]]
