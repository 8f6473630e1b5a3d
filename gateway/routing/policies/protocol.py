"""What a policy is, and what its settings are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence, Set
from typing import Any, ClassVar, NamedTuple, Protocol

from gateway.core.call import Call
from gateway.core.contract import Contract
from gateway.core.decision import Alternative, Decision
from gateway.core.efforts import Effort
from gateway.core.forecast import Forecast
from gateway.core.kind import kind_of
from gateway.core.prices import FREE, Prices
from gateway.core.probe import ProbeUse
from gateway.core.strict import StrictSettings

# The effort that a name in the configuration stands for. ConfigError: it is none.
Resolve = Callable[[str | int], Effort]
# What an effort is called in the configuration.
NameOf = Callable[[Effort], str]


class PolicyDescription(NamedTuple):
    """A policy for people and for clients.

    `summary` is a sentence for `thinkgate check`, and `card` the fields that the policy adds to its models' cards in
    `GET /v1/models`: JSON. `probes` says when a probe is asked for, and `unprobed` what a request gets that cannot be
    probed and is outside the router's training distribution; None: the policy has no use for probes.
    """

    summary: str
    card: dict[str, Any] = {}
    probes: str | None = None
    unprobed: str | None = None


class Policy(Protocol):
    """Pure: the same call, forecast and prices give the same decision, and nothing here raises."""

    @property
    def has_dial(self) -> bool:
        """Whether a client may send a dial position."""
        ...

    @property
    def probe_use(self) -> ProbeUse:
        """When it asks for probes: routers are made ready for that."""
        ...

    @property
    def contract(self) -> Contract | None:
        """What it promises, if the router finds prices that keep it; None: nothing."""
        ...

    @property
    def explore(self) -> float:
        """How far from its own it draws the price of a token; 0: it does not explore."""
        ...

    @property
    def offers(self) -> Set[Effort]:
        """The efforts that it may choose of its own accord."""
        ...

    def allows(self, effort: Effort) -> bool:
        """Whether the effort is within the operator's bounds."""
        ...

    def wants_forecast(self, call: Call) -> bool:
        """Whether a forecast could change the decision: without that the router does no work."""
        ...

    def decide(self, call: Call, forecast: Forecast | None, prices: Prices = FREE) -> Decision:
        """One effort and why. `forecast` is None when none was wanted or the router failed.

        `prices` are those of the model's price setters, which add to the policy's own, and the draw of exploration.
        """
        ...

    def alternatives(self, call: Call, decision: Decision) -> Sequence[Alternative]:
        """All that other prices would have led to for this call, the decision itself included, to explain it.

        Empty where prices have no part in it. `decision` was made without exploration.
        """
        ...

    def describe(self, name: NameOf) -> PolicyDescription: ...


class PolicySettings(StrictSettings, ABC):
    """The table of a policy. Each kind adds its keys, and a `kind` of its own: a literal of one word."""

    needs_router: ClassVar[bool] = False
    """Whether it decides by forecasts, so that its model needs a router."""

    @property
    def kind_name(self) -> str:
        return kind_of(type(self))

    @abstractmethod
    def policy(self, resolve: Resolve) -> Policy:
        """ConfigError: it names an effort that is none."""
