"""What a backend answers, whether it comes straight from it or is kept to its budget on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.core.usage import Usage


@dataclass(slots=True)
class EnforcedBudget:
    """What it took to keep the budget: `thought` tokens were let through as thinking, counted here; None where they
    could not be. `cut`: the answer ends where the budget did. `so_far` is what the backend has written, as far as it
    was counted, also before the end.
    """

    thought: int | None = None
    cut: bool = False
    so_far: Callable[[], Usage] = field(default=Usage, compare=False)


class Reply(Protocol):
    """An answer with status 200. Must be closed; closing before the end hangs up on the backend."""

    @property
    def kept(self) -> EnforcedBudget | None:
        """What it took to keep the budget here; None: nothing was done."""
        ...

    @property
    def own_id(self) -> str | None:
        """The backend's own id for the request."""
        ...

    async def read(self) -> bytes:
        """The whole body. GatewayError: it breaks off, stops, or is larger than is taken."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Bytes of a stream as they arrive. GatewayError if they stop before its end."""
        ...

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        """Read what follows the answer's end, so that the connection can be used again; a moment, no longer."""
        ...

    def close(self) -> None: ...
