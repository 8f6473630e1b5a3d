"""The sender of a request: what it may use, and how much of its limits is left."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Protocol

from gateway.core.aliases import Headers
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.efforts import Effort
from gateway.core.plan import Plan
from gateway.core.usage import Usage


class ProbeCost(NamedTuple):
    """The cost of a discarded probe: tokens, which quotas count as thinking, and dollars."""

    tokens: int = 0
    dollars: float = 0.0


NO_COST = ProbeCost()


class Principal(Protocol):
    """One per request; leaving the `with` block releases its reservation unless `settle` has."""

    @property
    def key(self) -> str | None:
        """The key's id, for the record."""
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

    def reserve(self, call: Call, plan: Plan) -> bool:
        """Reserve what a bounded call may cost, replacing its earlier reservation. QuotaExceeded: that much is not
        left.

        False: it was left when the call was bounded, but another worker has since taken some. What remains is
        reserved instead: bound the call again, and the reservation will suffice.
        """
        ...

    def settle(self, plan: Plan, usage: Usage, unseen: bool = False, spent: ProbeCost = NO_COST) -> Usage:
        """Once, at the end: replace the reservation by actual usage, in the current windows. `plan` is the one that
        was sent; `spent` is added. Returns what was charged without `spent`.

        Counts missing in `usage` are charged as reserved; `unseen`: reserved thinking is charged on top.
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

    key = None

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

    def reserve(self, call: Call, plan: Plan) -> bool:
        return True

    def settle(self, plan: Plan, usage: Usage, unseen: bool = False, spent: ProbeCost = NO_COST) -> Usage:
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
