"""A backend's answer, direct or with its budget enforced by the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.core.usage import Usage


@dataclass(slots=True)
class EnforcedBudget:
    """The result of enforcing a budget: `thought` is the thinking tokens passed on, counted here; None if unknown.
    `cut`: the answer was truncated at the budget. `so_far` is the usage counted until now, also before the end.
    """

    thought: int | None = None
    cut: bool = False
    so_far: Callable[[], Usage] = field(default=Usage, compare=False)


class Reply(Protocol):
    """An answer with status 200. Must be closed; closing before the end hangs up on the backend."""

    @property
    def enforced(self) -> EnforcedBudget | None:
        """The result of enforcing the budget here; None: it was not enforced here."""
        ...

    @property
    def own_id(self) -> str | None:
        """The backend's own id for the request."""
        ...

    async def read(self) -> bytes:
        """The whole body. GatewayError: it breaks off, stalls, or exceeds the size limit."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Bytes of a stream as they arrive. GatewayError if it stops before its end."""
        ...

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        """Briefly read what follows the answer's end, so that the connection can be reused."""
        ...

    def close(self) -> None: ...
