"""Who a request comes from, as far as it matters: what they may ask, and what they still have."""

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
    """What a probe cost that was thrown away: tokens, which quotas count as thought, and dollars."""

    tokens: int = 0
    dollars: float = 0.0


NO_COST = ProbeCost()


class Principal(Protocol):
    """One for each request: `with` gives back what it has set aside, whatever happens, unless `settle` has."""

    @property
    def key(self) -> str | None:
        """The key's id, for the record."""
        ...

    def may_use(self, model: str) -> bool:
        """Whether this public model is theirs to use, or to know of."""
        ...

    def check_model(self, model: str) -> None:
        """NotAllowed: it is not theirs."""
        ...

    def admit(self, size: int = 0) -> None:
        """Count the request, whatever becomes of it, and take a place and so many bytes for its body, until `settle`
        or `leave`. QuotaExceeded, BodyTooLarge: that is not to be had.
        """
        ...

    def arrived(self, size: int) -> None:
        """The body has so many bytes by now. As for `admit`."""
        ...

    def ceiling(self, levels: Mapping[str, Effort]) -> Effort | None:
        """The most thinking that they may ever name; None: there is no most."""
        ...

    def bound(self, call: Call, levels: Mapping[str, Effort], arm: Arm) -> Call:
        """The call with the most thinking that they may have now. NotAllowed: they named more than they ever may."""
        ...

    def reserve(self, call: Call, plan: Plan) -> bool:
        """Set aside what a bounded call may cost, instead of what was set aside for it before. QuotaExceeded: that is
        not left.

        False: it was left when the call was bounded, and another worker took of it since. What was left now is set
        aside instead: bound the call again, and there is enough for it.
        """
        ...

    def settle(self, plan: Plan, usage: Usage, unseen: bool = False, spent: ProbeCost = NO_COST) -> Usage:
        """Once, at the end: what was used stands instead of what was set aside, in the windows of now. `plan` is the
        one that was sent, and `spent` comes on top. Returns what was charged but for that.

        What `usage` does not tell counts as what was set aside for it; `unseen`: so does the thought, on top of it.
        """
        ...

    def leave(self) -> None:
        """Give back all that is set aside, unless `settle` has; as often as one likes."""
        ...

    def __enter__(self) -> Principal: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def headers(self) -> Headers:
        """What answers say about their limits."""
        ...


class Anonymous:
    """Where no keys are asked for."""

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
