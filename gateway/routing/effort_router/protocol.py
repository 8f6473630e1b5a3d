"""What an effort router is: it is made ready for an arm once, and forecasts that arm's requests from then on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.contract import Contract, Guarantee
from gateway.core.efforts import Effort
from gateway.core.forecast import Forecast
from gateway.core.probe import Probe, ProbeUse


class PreparedArm(Protocol):
    """A router that is ready for one arm."""

    @property
    def version(self) -> str:
        """That of the router."""
        ...

    @property
    def is_known(self) -> bool:
        """Whether it can say anything about the arm; if not, all of its forecasts are None."""
        ...

    @property
    def supports_probes(self) -> bool:
        """Whether probes tell it anything about the arm."""
        ...

    def forecast(self, call: Call) -> Forecast | None:
        """One forecast per effort of the arm that the router knows; None if it knows none. May raise."""
        ...

    def update(self, forecast: Forecast, probe: Probe) -> Forecast:
        """What is known of the same request after a probe that the forecast said might be worth it. May raise."""
        ...

    def guarantee(self, contract: Contract, efforts: Sequence[Effort]) -> Guarantee:
        """What can be promised, choosing between these of the arm's efforts, weakest first."""
        ...


class EffortRouter(Protocol):
    @property
    def version(self) -> str:
        """What records and the `x-thinkgate-router` header call it: name and state of learning."""
        ...

    def prepare(self, arm: Arm, ask: ProbeUse) -> PreparedArm:
        """Do all that takes time, at start-up, so that no request pays for it. `ask`: how the policy asks for probes.

        ConfigError: it cannot serve this arm. One of which it only knows nothing is no error: see `is_known`.
        """
        ...

    def observed_efforts(self, arm: Arm) -> tuple[Effort, ...]:
        """The arm's efforts of which it has seen outcomes of just this effort, of just the arm's own deployments."""
        ...

    def describe(self, unknown: Collection[str]) -> str:
        """What it is, for `thinkgate check`; `unknown` are the models of arms about which it can say nothing."""
        ...
