"""One served model."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.family import Family
from gateway.core.field_policy import OPEN, Guard
from gateway.core.serving_limits import AdmissionLimits, Pricing, ResponseLimits, Timeouts, UsualLatency


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """One served model. Base URLs end in the API version (`/v1`); times in seconds. `max_output` is the most tokens
    that the model generates for one answer, None: as many as its context holds.

    Compared and hashed by identity.
    """

    name: str
    urls: tuple[str, ...]
    model: str
    family: Family
    max_context: int | None = None
    max_output: int | None = None
    retries: int = 1
    timeouts: Timeouts = field(default_factory=Timeouts)
    response_limits: ResponseLimits = field(default_factory=ResponseLimits)
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    latency: UsualLatency = field(default_factory=UsualLatency)
    pricing: Pricing = field(default_factory=Pricing)
    api_key: str | None = field(default=None, repr=False)
    router_name: str = ""
    verify: bool = False
    guard: Guard = OPEN
    salted: bool = False
