"""The settings of the policies, one table for each kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.config.types import EffortName, StrictSettings, Unit


class FixedSettings(StrictSettings):
    kind: Literal["fixed"]
    effort: EffortName
    budgets: list[EffortName] = []


class ClientSettings(StrictSettings):
    kind: Literal["client"] = "client"
    default_effort: EffortName = "none"
    floor: EffortName = "none"
    ceiling: EffortName = "max"
    budgets: list[EffortName] = []


class ProbeSettings(StrictSettings):
    """Whether a short answer without thinking is asked for first, with log-probabilities: for every policy that buys.

    If it convinces it is the answer; if not, it is thrown away and the model thinks. Where there can be none, requests
    of a kind that the router has never met get the default effort.
    """

    probe: Literal["auto", "always", "never"] = "auto"
    """`auto`: where it is worth its price, and of every request that is unlike any that the router has met."""
    probe_tokens: Annotated[int, Field(ge=1, le=4096)] = 64
    """By how many of its tokens it is decided: a stream is held back for so many at most, then the rest comes live."""
    probe_wait_s: Annotated[float, Field(gt=0)] = 10.0
    """How long that may take in seconds, from being sent to the backend; then the request goes on without it."""


class DialSettings(ProbeSettings):
    kind: Literal["dial"]
    dial: Unit = 0.5
    dial_bounds: Annotated[tuple[Unit, Unit], Field(strict=False)] = (0.0, 1.0)
    """How far a client may move the dial."""
    price_of_waiting: Annotated[float, Field(ge=0)] = 0.0
    """What a second is worth, in units of P(correct)."""
    default_effort: EffortName = "low"
    """Applied when there is no forecast, and to requests that are strange to the router and cannot be probed."""
    floor: EffortName = "none"
    ceiling: EffortName = "max"
    budgets: Annotated[list[EffortName], Field(min_length=1)] = [1024, 4096, 16384]
    """The thinking budgets to choose from."""

    @model_validator(mode="after")
    def _ordered(self) -> DialSettings:
        if self.dial_bounds[0] > self.dial_bounds[1]:
            raise ValueError("dial_bounds: the lower bound comes first")
        return self


class ContractSettings(ProbeSettings):
    """A promise: at most so much less accuracy than thinking fully, which the router turns into a price.

    It is about traffic like that the router was trained on, and about requests for which neither the client nor a key
    names or bounds the effort.
    """

    kind: Literal["contract"]
    max_regret: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """The share of requests that may be harmed: wrong, where the strongest effort would have been right."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    horizon: Annotated[int, Field(ge=1)] | None = None
    """How many next requests it is a promise about; if left out, traffic in the long run."""
    counts: Literal["harm", "net"] = "harm"
    """Whether only losses count, or what is gained elsewhere is set against them."""
    default_effort: EffortName | None = None
    """For requests that are strange to the router, and where there is no forecast: the ceiling if left out, with which
    nothing is lost; whoever names less leaves these requests out of the promise."""
    floor: EffortName = "none"
    ceiling: EffortName = "max"
    budgets: Annotated[list[EffortName], Field(min_length=1)] = [1024, 4096, 16384]
    """The thinking budgets to choose from: those with outcomes in the router's training data."""

    @model_validator(mode="after")
    def _one_kind(self) -> ContractSettings:
        if self.counts == "net" and self.horizon is not None:
            raise ValueError("a promise on a horizon is about harm alone: leave `counts` or `horizon` out")
        return self


PolicySettings = Annotated[
    FixedSettings | ClientSettings | DialSettings | ContractSettings, Field(discriminator="kind")
]
