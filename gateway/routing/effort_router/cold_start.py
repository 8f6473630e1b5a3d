"""An arm of whose probes its router has no outcomes: where a request's text is not to be trusted, it is probed all the
same, and the generic probe says what the answer's confidence is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from gateway.core.call import Call
from gateway.core.contract import Contract, Guarantee
from gateway.core.efforts import Effort
from gateway.core.forecast import EffortForecast, Forecast
from gateway.core.probe import Probe


class GenericProbe(Protocol):
    """What confidence says of a model that nobody has outcomes of."""

    @property
    def version(self) -> str: ...
    @property
    def outcomes(self) -> Sequence[float]:
        """Equally likely values of `p_correct`."""
        ...

    def p_correct(self, probe: Any) -> float:
        """A lower bound of P(right)."""
        ...


class KnownArm(Protocol):
    """An arm that a learned router can forecast by text alone."""

    @property
    def version(self) -> str: ...
    def forecast(self, call: Call) -> Forecast | None: ...
    def guarantee(self, contract: Contract, efforts: Sequence[Effort]) -> Guarantee: ...
    def usually_right(self, reading: Any) -> Sequence[float]:
        """Of each forecast effort P(correct) on the router's own held-out prompts."""
        ...

    def probe(self, probe: Probe) -> Any:
        """What the generic probe takes. ValueError: it has no tokens."""
        ...


class AlwaysProbe:
    """Text says nothing of the request, so that asking comes before everything else."""

    always: ClassVar[bool] = True

    def __init__(self, outcomes: Sequence[float]) -> None:
        self.outcomes = outcomes

    def pays(self, best_direct: float, cost: float) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class ColdStartArm:
    known: KnownArm
    generic: GenericProbe
    is_known: ClassVar[bool] = True
    supports_probes: ClassVar[bool] = True

    @property
    def version(self) -> str:
        return self.known.version

    def forecast(self, call: Call) -> Forecast | None:
        forecast = self.known.forecast(call)
        if forecast is None or not forecast.is_ood:
            return forecast
        return replace(forecast, probe_value=AlwaysProbe(self.generic.outcomes))

    def update(self, forecast: Forecast, probe: Probe) -> Forecast:
        """The answer is right with the probability that the generic probe vouches for. Where it is wrong, an effort
        puts it right as often as it usually does: text that is not trusted has no say in that.
        """
        right = self.generic.p_correct(self.known.probe(probe))
        usual = self.known.usually_right(forecast.reading)
        without = next(p for one, p in zip(forecast.efforts, usual, strict=True) if not one.effort.think)
        efforts = tuple(
            one._replace(p_correct=right + (1 - right) * max(p - without, 0.0) / max(1 - without, 1e-6))
            if one.effort.think
            else EffortForecast(one.effort, right, 0.0, 0.0, 0.0)
            for one, p in zip(forecast.efforts, usual, strict=True)
        )
        return replace(forecast, efforts=efforts, probed=True, probe_value=None)

    def guarantee(self, contract: Contract, efforts: Sequence[Effort]) -> Guarantee:
        return self.known.guarantee(contract, efforts)
