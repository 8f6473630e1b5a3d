"""The same forecast for every prompt: the baseline that a learned router must beat.

Thinking helps with diminishing returns; at any dial position every request gets the same effort.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from gateway.backends.latency import LatencyModels
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.contract import Contract, Guarantee
from gateway.core.efforts import Effort, size
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.probe import Probe, ProbeUse
from gateway.routing.effort_router.protocol import PreparedArm

VERSION = "constant"


class ConstantRouter:
    version = VERSION

    def __init__(self, paces: LatencyModels) -> None:
        self._paces = paces

    def prepare(self, arm: Arm, ask: ProbeUse) -> PreparedArm:
        return _ConstantArm(arm, self._paces)

    def observed_efforts(self, arm: Arm) -> tuple[Effort, ...]:
        return ()

    def describe(self, unknown: Collection[str]) -> str:
        return f"{VERSION}."


@dataclass(frozen=True, slots=True)
class _ConstantArm:
    arm: Arm
    paces: LatencyModels
    version: ClassVar[str] = VERSION
    is_known: ClassVar[bool] = True
    supports_probes: ClassVar[bool] = False

    def forecast(self, call: Call) -> Forecast | None:
        return Forecast(self.version, tuple(map(self._one, self.arm.efforts)), _price_at)

    def update(self, forecast: Forecast, probe: Probe) -> Forecast:
        return forecast

    def guarantee(self, contract: Contract, efforts: Sequence[Effort]) -> Guarantee:
        return Guarantee(None, None, why=f"the router {self.version!r} was trained on no outcomes")

    def _one(self, effort: Effort) -> EffortForecast:
        budget = min(size(effort), 1e5)
        p = 0.5 + 0.45 * (1 - math.exp(-budget / 64))
        seconds = self.paces[self.arm.deployment_for(effort).name].seconds(budget / 2 + 50.0)
        return EffortForecast(effort, p, budget / 2, 50.0, seconds)


def _price_at(dial: float, ask: ProbeUse) -> float:
    return float(10 ** (-1 - 5 * dial)) if dial < 1 else 0.0
