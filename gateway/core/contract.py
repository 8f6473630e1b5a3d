"""A risk contract, and what can be guaranteed under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.probe import ProbeUse


class Contract(NamedTuple):
    """At most `max_regret` less accuracy than the strongest effort allowed, at this confidence.

    In the long run or, with a `horizon`, on the next `horizon` requests. `net`: gains offset losses; else each request
    that the strongest effort would have answered correctly counts as lost. `ask`: whether probes are used. `required`:
    where no price keeps it, its model is refused, and not served with the strongest effort.
    """

    max_regret: float
    confidence: float
    horizon: int | None = None
    net: bool = False
    ask: ProbeUse = "auto"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What can be guaranteed under a contract: prices of a token, where probes are possible and where not.

    None: no price meets the contract, so the strongest effort is used. Based on `prompts` prompts, of which `harmed`
    became wrong; `bound` is the upper confidence bound on their share, `loss` the net loss of accuracy, and `saved` the
    saved share of the strongest effort's tokens. `why` is the reason if there is no guarantee.
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
        """Whether there is a guarantee, so that anything but the strongest effort is used."""
        return self.with_probe is not None or self.without_probe is not None
