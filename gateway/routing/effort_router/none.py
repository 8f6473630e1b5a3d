"""The router that knows nothing, and what any router says of an arm that it does not know."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.contract import Contract, Guarantee
from gateway.core.efforts import Effort, words
from gateway.core.forecast import Forecast
from gateway.core.probe import Probe, ProbeUse
from gateway.routing.effort_router.protocol import PreparedArm


@dataclass(frozen=True, slots=True)
class UnknownArm:
    version: str
    is_known: ClassVar[bool] = False
    supports_probes: ClassVar[bool] = False

    def forecast(self, call: Call) -> Forecast | None:
        return None

    def update(self, forecast: Forecast, probe: Probe) -> Forecast:
        return forecast

    def guarantee(self, contract: Contract, efforts: Sequence[Effort]) -> Guarantee:
        return without_outcomes(self.version, efforts)


class NoRouter:
    version = "none"

    def prepare(self, arm: Arm, ask: ProbeUse) -> PreparedArm:
        return UnknownArm(self.version)

    def observed_efforts(self, arm: Arm) -> tuple[Effort, ...]:
        return ()

    def describe(self, unknown: Collection[str]) -> str:
        return "none: there is never a forecast."


def without_outcomes(version: str, efforts: Sequence[Effort]) -> Guarantee:
    """Nothing is promised of efforts that the router's data do not have."""
    what = words(efforts[-1]) if efforts else "anything"
    return Guarantee(None, None, why=f"the router {version} has seen no outcomes of {what}")


def describe_unknown(version: str, unknown: Collection[str]) -> str:
    return f"{version}, which knows nothing about {', '.join(unknown)}: the default effort is applied."
