"""The sender of a request: what it may use, and how much of its limits is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple, Protocol

from gateway.core.aliases import Headers
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.efforts import Effort
from gateway.core.plan import Plan
from gateway.core.planned import Planned
from gateway.core.usage import Usage


class ProbeCost(NamedTuple):
    """The cost of a discarded probe: tokens, which quotas count as thinking, and dollars."""

    tokens: int = 0
    dollars: float = 0.0


NO_COST = ProbeCost()


# Bounds a call, decides, and compiles a plan: within this budget, if there is one.
Choose = Callable[[Effort | None], Planned]


class Principal(Protocol):
    """One per request; leaving the `with` block releases its reservation unless `settle` has."""

    @property
    def key(self) -> str | None:
        """The key's id, for the record."""
        ...

    @property
    def team(self) -> str | None:
        """The name of the key's team."""
        ...

    @property
    def waited_s(self) -> float:
        """How long the request waited for what other requests of its key or team held, in seconds."""
        ...

    def may_use(self, model: str) -> bool:
        """Whether it may use, and list, this public model."""
        ...

    def check_model(self, model: str) -> None:
        """NotAllowed: it may not use this model."""
        ...

    def admit(self, size: int = 0) -> None:
        """Count the request and reserve a place and `size` bytes for its body until `settle` or `leave`.
        QuotaExceeded, BodyTooLarge: its limits do not allow that.
        """
        ...

    def arrived(self, size: int) -> None:
        """Note that `size` bytes of the body have arrived. Raises as `admit` does."""
        ...

    def ceiling(self, levels: Mapping[str, Effort]) -> Effort | None:
        """The strongest effort it may ever request; None: no ceiling."""
        ...

    def bound(self, call: Call, levels: Mapping[str, Effort], arm: Arm) -> Call:
        """The call, bounded by the thinking allowed now. NotAllowed: it requests more than the key's ceiling."""
        ...

    async def reserve(self, choose: Choose) -> Planned:
        """Reserve what a plan may use, replacing an earlier reservation, and return that plan.

        `choose` is called again where less is left, after a short wait for what running requests hold. QuotaExceeded:
        there is not enough.
        """
        ...

    def exchange(self, planned: Planned) -> None:
        """Reserve for this plan in place of the one before, without waiting. QuotaExceeded: there is not enough."""
        ...

    def settle(
        self,
        plan: Plan,
        usage: Usage,
        unseen: bool = False,
        spent: ProbeCost = NO_COST,
        complete: bool = False,
        degraded: bool = False,
    ) -> Usage:
        """Once, at the end: replace the reservation by actual usage, in the current windows. `plan` is the one that
        was sent; `spent` is added. Returns what was charged without `spent`.

        Counts missing in `usage` are charged as reserved; `unseen`: reserved thinking is charged on top. `complete`:
        these are the counts of a whole answer; `degraded`: a quota made it think less.
        """
        ...

    def leave(self) -> None:
        """Release the reservation unless `settle` has; idempotent."""
        ...

    def __enter__(self) -> Principal: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def headers(self) -> Headers:
        """Response headers about its limits."""
        ...


class Anonymous:
    """The principal where no API keys are required: no limits."""

    key: str | None = None
    team: str | None = None
    waited_s = 0.0

    def may_use(self, model: str) -> bool:
        return True

    def check_model(self, model: str) -> None:
        pass

    def ceiling(self, levels: Mapping[str, Effort]) -> Effort | None:
        return None

    def admit(self, size: int = 0) -> None:
        pass

    def arrived(self, size: int) -> None:
        pass

    def bound(self, call: Call, levels: Mapping[str, Effort], arm: Arm) -> Call:
        return call

    async def reserve(self, choose: Choose) -> Planned:
        return choose(None)

    def exchange(self, planned: Planned) -> None:
        pass

    def settle(
        self,
        plan: Plan,
        usage: Usage,
        unseen: bool = False,
        spent: ProbeCost = NO_COST,
        complete: bool = False,
        degraded: bool = False,
    ) -> Usage:
        return usage

    def leave(self) -> None:
        pass

    def __enter__(self) -> Principal:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def headers(self) -> Headers:
        return {}


ANONYMOUS = Anonymous()
