"""A risk contract, and what can be guaranteed under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.probe import ProbeUse


class Contract(NamedTuple):
    """At most `max_regret` less accuracy than the strongest effort allowed, at this confidence.

    On traffic in the long run or, with a `horizon`, on the next so many requests themselves. `net`: gains count against
    losses; else every request that loses what that effort would have got right does. `ask`: whether probes are asked.
    """

    max_regret: float
    confidence: float
    horizon: int | None = None
    net: bool = False
    ask: ProbeUse = "auto"


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What can be promised under a contract: prices of a token, where a request may be asked for a probe and where not.

    None: no price keeps the contract there, so the strongest effort is taken. It rests on so many `prompts`, of which
    `harmed` lost something; `bound` is the upper bound on their share, `loss` the loss of accuracy, gains counted, and
    `saved` the share of the strongest effort's tokens. `why` says what stands against a promise.
    """

    with_probe: float | None
    without_probe: float | None
    prompts: int = 0
    harmed: int = 0
    bound: float = 0.0
    loss: float = 0.0
    saved: float = 0.0
    why: str | None = None

    @property
    def kept(self) -> bool:
        """Whether anything is bought under it."""
        return self.with_probe is not None or self.without_probe is not None
